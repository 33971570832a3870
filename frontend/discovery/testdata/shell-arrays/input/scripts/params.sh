set -euo pipefail
set -- --set tag=params
set -- "$@" --set side=true
helm install web ./charts/web "$@"
helm_args=""
helm_args+=" --set tag=string"
helm_args+=" --set side=true"
helm install web ./charts/web $helm_args
eval "helm install web ./charts/web --set side=true --set ${1/--set/tag=eval}"
