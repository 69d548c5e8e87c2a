#!/usr/bin/env bash
# Builds a Kubernetes control plane (kube-apiserver and etcd, no container
# runtime) from the modules pinned in hack/controlplane, once for each pinning,
# into a cache folder outside of the clone, and prints that folder. Cold, this
# takes about six minutes on two cores. A folder given in KUBEBUILDER_ASSETS is
# taken instead.
set -euo pipefail
cd "$(dirname "$0")/controlplane"

note() { echo "controlplane: $*" >&2; }

complete() { [ -x "$1/kube-apiserver" ] && [ -x "$1/etcd" ]; }

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  complete "$KUBEBUILDER_ASSETS" || { note "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS lacks kube-apiserver or etcd"; exit 2; }
  echo "$KUBEBUILDER_ASSETS"
  exit 0
fi

pins=$(cat {kubernetes,etcd}/go.{mod,sum} | sha256sum | cut -c1-12)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/palisade/controlplane-$pins
if complete "$folder"; then
  echo "$folder"
  exit 0
fi

# Built beside its place and moved there whole: what stands in the folder is complete.
mkdir -p "$(dirname "$folder")"
parts=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$parts"' EXIT
export CGO_ENABLED=0 GOWORK=off

# progress tells of every 100th package that `go build -v` names, and passes on all else.
progress() {
  local line n=0
  while IFS= read -r line; do
    case $line in
    *[!a-zA-Z0-9._/~-]*) echo "$line" ;;
    *) n=$((n + 1)); [ $((n % 100)) != 0 ] || note "$1: $n packages compiled" ;;
    esac
  done
}

# build FOLDER PACKAGE NAME LDFLAGS
build() {
  local start=$SECONDS
  note "building $3 in hack/controlplane/$1 ..."
  go -C "$1" build -v -trimpath -buildvcs=false -ldflags "-s -w $4" -o "$parts/$3" "$2" 2>&1 >&2 | progress "$3" >&2
  note "built $3 in $((SECONDS - start)) s"
}

build etcd go.etcd.io/etcd/server/v3 etcd ""
# Kubernetes learns its version from the linker; unstamped, it takes itself for v0.0.0.
version=$(go -C kubernetes list -m -f '{{.Version}}' k8s.io/kubernetes)
IFS=. read -r major minor _ <<<"${version#v}"
stamp=k8s.io/component-base/version
build kubernetes k8s.io/kubernetes/cmd/kube-apiserver kube-apiserver \
  "-X $stamp.gitVersion=$version -X $stamp.gitMajor=$major -X $stamp.gitMinor=$minor"

# Another run may have been quicker; its folder is as good.
mv -T "$parts" "$folder" 2>/dev/null || complete "$folder"
echo "$folder"
