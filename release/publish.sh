#!/usr/bin/env bash
# publish.sh: builds the frontend image for its platforms with SBOM and provenance, and the base images with it, and pushes
# all of them to REGISTRY by the user's docker buildx. Variables:
#   REGISTRY    where to, such as registry.example.com/kubefile: the images are REGISTRY/frontend and REGISTRY/kubernetes
#   VERSION     of the release, such as v1.2.3; default is what git knows of the commit
#   DIRTY       not empty: allow a VERSION for files that are not committed
#   PLATFORMS   of the frontend; default is linux/amd64,linux/arm64
#   FRONTEND_TAGS   tags of the frontend; default is 1.2.3 1.2 1 for v1.2.3, and the whole version for a pre-release
#   BASES       examples that are base images; default is kubernetes
#   BASE_FLAGS  further flags of docker buildx build for them
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
while [[ ${REGISTRY:-} = */ ]]; do REGISTRY=${REGISTRY%/}; done
[ -n "${REGISTRY:-}" ] || { echo "publish: no registry given; run: make publish REGISTRY=registry.example.com/kubefile" >&2; exit 2; }
case $REGISTRY in
  *://*) echo "publish: invalid registry \"$REGISTRY\": leave out ${REGISTRY%%://*}://, as in REGISTRY=${REGISTRY#*://}" >&2; exit 2 ;;
esac

# kubernetes_of BASE prints the version of Kubernetes in a base image, which is its tag.
kubernetes_of() { sed -n 's/^ARG KUBERNETES_VERSION=//p' "examples/$1/Kubefile" 2> /dev/null | head -n 1; }
read -ra bases <<< "${BASES-kubernetes}"
for base in "${bases[@]}"; do # before anything is built or pushed
  [ -n "$(kubernetes_of "$base" || true)" ] || {
    known=$(grep -l '^ARG KUBERNETES_VERSION=' examples/*/Kubefile | xargs -n1 dirname | xargs -n1 basename | paste -sd ' ')
    echo "publish: no base image is called \"$base\"; BASES can have: $known" >&2
    exit 2
  }
done

if [ -n "${VERSION:-}" ]; then
  KUBEFILE_VERSION=$(go -C release run . -root .. -version "$VERSION" -check ${DIRTY:+-dirty})
  export KUBEFILE_VERSION
fi
described=$(version/version.sh env)
field() { sed -n "s/^$1=//p" <<< "$described"; }
version=$(field VERSION)
[ -n "$version" ] || { echo "publish: this is not a git clone; give the version, as in VERSION=v0.1.0" >&2; exit 1; }
docker buildx version > /dev/null || { echo "publish: install Docker with buildx first" >&2; exit 1; }

# Tags move with every release that they fit; a pre-release moves none.
tags_of() {
  local version=${1#v}
  case $version in
    *-*) echo "$version" ;;
    *) echo "$version ${version%.*} ${version%%.*}" ;;
  esac
}
read -ra tags <<< "${FRONTEND_TAGS:-$(tags_of "$version")}"

platforms=${PLATFORMS:-linux/amd64,linux/arm64}
architectures=${platforms//linux\//}
make --no-print-directory frontend VERSION="$version" ARCH="${architectures//,/ }"
names=()
for tag in "${tags[@]}"; do
  names+=(--tag "$REGISTRY/frontend:$tag")
done
date=$(field DATE)
[ -z "$date" ] || SOURCE_DATE_EPOCH=$(date --date "$date" +%s)
[ -z "$date" ] || export SOURCE_DATE_EPOCH # times in the image are the commit's
docker buildx build --file Dockerfile.frontend --platform "$platforms" --sbom=true --provenance=mode=max \
  --build-arg VERSION="$version" --build-arg COMMIT="$(field COMMIT)" --build-arg DATE="$date" \
  "${names[@]}" --output type=image,push=true,rewrite-timestamp=true,compression=zstd .
unset SOURCE_DATE_EPOCH

frontend=$REGISTRY/frontend:${tags[0]}
read -ra flags <<< "${BASE_FLAGS:-}"
published=("${tags[@]/#/$REGISTRY/frontend:}")
for base in "${bases[@]}"; do
  tag=$(kubernetes_of "$base")
  docker buildx build --file "examples/$base/Kubefile" --build-arg BUILDKIT_SYNTAX="$frontend" --sbom=true --provenance=mode=max \
    --output "type=image,name=$REGISTRY/$base:$tag,push=true,compression=zstd" "${flags[@]}" "examples/$base"
  published+=("$REGISTRY/$base:$tag")
done
printf 'published %s\n' "${published[@]}"
