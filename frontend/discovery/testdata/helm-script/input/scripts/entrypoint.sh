#!/bin/bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/versions.sh
NAMESPACE=${NAMESPACE:-shop}
install() {
  local name=$1
  helm upgrade --install "$name" "charts/$name" \
    --namespace "$NAMESPACE" \
    --set tag="$TAG"
}
for chart in web; do
  install "$chart"
done
