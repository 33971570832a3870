args=(--set tag=append)
args+=(--set side=true)
helm install web ./charts/web "${args[@]}"
