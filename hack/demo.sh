#!/usr/bin/env bash
# Builds what the demo needs and runs it: demo.sh [-keep]. What was built before is not built again.
set -euo pipefail
cd "$(dirname "$0")/.."

# built WORDS COMMAND...: runs a command, and tells how long it took.
built() {
  local what=$1 start=$SECONDS
  shift
  "$@"
  echo "demo: $what: $((SECONDS - start)) s" >&2
}

assets=
controlplane() { assets=$(hack/controlplane.sh); }

built "palisade is built" go build -o bin/palisade ./cmd/palisade
built "the stand-ins of a mesh's proxies are built" go build -o bin/lab ./cmd/lab
built "the demo is built" go -C e2e build -o ../bin/demo ./demo
built "kube-apiserver and etcd are built (once; minutes)" controlplane
KUBEBUILDER_ASSETS=$assets exec bin/demo "$@"
