#!/usr/bin/env bash
# examples.sh: builds the example images in the lab and pushes them to its registry: kubernetes from the compiled binaries, and the
# dashboard on top of it. The command lines are those of the README, with the lab's frontend and addresses.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
[ -f "$top/_out/lab.env" ] || { echo "examples.sh: the lab is down: make up" >&2; exit 1; }
set -a
# shellcheck disable=SC1091 # made by make up
. "$top/_out/lab.env"
set +a
version=v1.34.4
binaries=$top/_out/examples/binaries

# The directory that stands in for the Kubefile's stage "binaries": hard links where the file system allows, for it is 500 MB.
rm -rf "$binaries"
mkdir -p "$binaries/bin" "$binaries/cni"
place() {
  local to=$1 name
  shift
  for name in "$@"; do
    cp -lL "$top/_out/bin/$name" "$binaries/$to/$name" 2> /dev/null || cp -L "$top/_out/bin/$name" "$binaries/$to/$name"
  done
}
place bin kubeadm kubelet kubectl containerd containerd-shim-runc-v2 ctr runc crictl helm
place cni bridge host-local loopback portmap ptp firewall

build() {
  local example=$1 tag=$2
  shift 2
  docker buildx build --builder "$BUILDX_BUILDER" --file "$top/examples/$example/Kubefile" \
    --build-arg BUILDKIT_SYNTAX="$FRONTEND" --build-arg KUBEFILE_MIRRORS \
    --output "type=image,name=$REGISTRY/$tag,push=true,compression=zstd" "$@" "$top/examples/$example"
  echo "$REGISTRY/$tag"
}

build kubernetes kubernetes:$version --build-context binaries="$binaries"
build dashboard dashboard:v2.2.0 --build-context kubernetes:$version="docker-image://$REGISTRY/kubernetes:$version" \
  --build-arg URL="http://$UPSTREAM/files/dashboard/recommended.yaml"
