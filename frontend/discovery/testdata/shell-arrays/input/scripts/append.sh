args=(--set tag=append)
args+=(--set side=true)
helm install web ./charts/web "${args[@]}"
none=()
crictl pull example.com/none:1 "${none[@]}"
args=(--set tag=itself)
args=("${args[@]}" --set side=true)
helm install web ./charts/web "${none[@]}" "${args[@]}"
