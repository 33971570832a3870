#!/usr/bin/env bash
# examples.sh [NAME...]: builds the example images in the lab and pushes them to its registry, all of them unless some are named:
# kubernetes from the compiled binaries, the dashboard on top of it, and the application images. It runs the build commands of the
# examples' READMEs, with the lab's frontend, registry and mirrors. The name "binaries" makes only the directory _out/examples/binaries.
# ARCHIVE=FILE writes the dashboard's image to an OCI archive, too. PREFIX=build/ puts the images below that path: tests that run side by
# side push the same names, and a tag must not move under one of them.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# Nothing is built when one of the names is wrong.
[ $# -gt 0 ] || set -- kubernetes dashboard redis mysql-cluster web
for name in "$@"; do
  case $name in
    binaries | kubernetes | dashboard | redis | mysql-cluster | web) ;;
    *) echo "examples.sh: there is no example $name" >&2; exit 2 ;;
  esac
done
if [ -n "${ARCHIVE:-}" ] && [[ " $* " != *" dashboard "* ]]; then
  echo "examples.sh: ARCHIVE=FILE writes the dashboard only; add dashboard, or leave out ARCHIVE" >&2
  exit 2
fi

[ -f "$top/_out/lab.env" ] || { echo "examples.sh: the lab is down: make up" >&2; exit 1; }
set -a
# shellcheck disable=SC1091 # made by make up
. "$top/_out/lab.env"
set +a
PREFIX=${PREFIX:-}

buildx=(docker buildx)
command -v docker > /dev/null || buildx=("$LAB_BIN/buildx") # the same program, which a bare machine has without Docker's client

# Runs the build command of the example's README with the lab's names in place of those of the reader.
build() {
  local example=$1 command words
  shift
  command=$(awk '/^    docker buildx build / { found = 1 } found { more = sub(/\\$/, ""); printf "%s ", $0; if (!more) exit }' \
    "$top/examples/$example/README.md")
  command=${command//registry.example.com\/kubefile\/frontend:1/$FRONTEND}
  command=${command//registry.example.com\/kubefile\//$REGISTRY/$PREFIX}
  read -ra words <<< "$command"
  [ "${#words[@]}" -gt 3 ] || { echo "examples.sh: examples/$example/README.md has no line \"docker buildx build\"" >&2; exit 1; }
  (cd "$top/examples/$example" && "${buildx[@]}" build --builder "$BUILDX_BUILDER" --build-arg KUBEFILE_MIRRORS "$@" "${words[@]:3}")
  grep -o "$REGISTRY/[^,]*" <<< "${words[*]: -3}"
}

# The directory that stands in for the Kubefile's stage "binaries": hard links where the file system allows, for it is 500 MB. A file
# that is there already stays as it is, since a build may be reading it.
binaries=$top/_out/examples/binaries
place() {
  local to=$1 name from
  mkdir -p "$binaries/$to"
  shift
  for name in "$@"; do
    from=$(readlink -f "$top/_out/bin/$name")
    [ "$from" -ef "$binaries/$to/$name" ] || cmp -s "$from" "$binaries/$to/$name" || cp -lf "$from" "$binaries/$to/$name" 2> /dev/null ||
      cp -f "$from" "$binaries/$to/$name"
  done
}

binaries() {
  exec 9> "$top/_out/examples.lock"
  flock 9
  place bin kubeadm kubelet kubectl containerd containerd-shim-runc-v2 ctr runc crictl helm
  place cni bridge host-local loopback portmap ptp firewall
  exec 9>&-
}

kubernetes() {
  binaries
  build kubernetes --build-context binaries="$binaries"
}

dashboard() {
  build dashboard --build-arg URL="http://$UPSTREAM/files/dashboard/recommended.yaml" \
    ${ARCHIVE:+--output "type=oci,dest=$ARCHIVE,compression=zstd"}
}

for name in "$@"; do
  case $name in
    binaries | kubernetes | dashboard) "$name" ;;
    *) build "$name" ;;
  esac
done
