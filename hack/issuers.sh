#!/usr/bin/env bash
# Builds the programs that issue certificates in a mesh, istiod and Linkerd's
# identity service, from the modules pinned in difftest/istio and difftest/linkerd,
# once for each pinning, into a cache folder outside of the clone, and prints that
# folder. What `make test-istio` has compiled is not compiled again.
set -euo pipefail
cd "$(dirname "$0")/../difftest"

note() { echo "issuers: $*" >&2; }

complete() { [ -x "$1/pilot-discovery" ] && [ -x "$1/linkerd-identity" ]; }

pins=$(cat {istio,linkerd}/go.{mod,sum} linkerd/identity/*.go | sha256sum | cut -c1-12)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/palisade/issuers-$pins
if complete "$folder"; then
  echo "$folder"
  exit 0
fi

# Built beside its place and moved there whole: what stands in the folder is complete.
mkdir -p "$(dirname "$folder")"
parts=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$parts"' EXIT
export GOWORK=off

# build FOLDER PACKAGE NAME
build() {
  local start=$SECONDS
  note "building $3 in difftest/$1 ..."
  go -C "$1" build -buildvcs=false -ldflags "-s -w" -o "$parts/$3" "$2" >&2
  note "built $3 in $((SECONDS - start)) s"
}

build linkerd ./identity linkerd-identity
build istio istio.io/istio/pilot/cmd/pilot-discovery pilot-discovery

# Another run may have been quicker; its folder is as good.
mv -T "$parts" "$folder" 2>/dev/null || complete "$folder"
echo "$folder"
