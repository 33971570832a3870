args=($(cat /etc/somewhere))
helm install web ./charts/web --set tag=unknown "${args[@]}"
helm install web ./charts/web --set tag=unset $HELM_OPTS
mapfile -t more
helm install web ./charts/web --set tag=input "${more[@]}"
helm install $HELM_OPTS web ./charts/web --set tag=before
helm install ./charts/web --generate-name --set tag=generated $HELM_OPTS
helm upgrade -i "$NAME" ./charts/web --version "$VERSION" --set tag=named
names=(a b)
for name in "${names[@]/#/example.com/prefixed-}"; do crictl pull "$name:1"; done
helm install web ./charts/web --set tag=quoted "$(cat /etc/somewhere)" "${names[@]/#/--set }" `cat /etc/other`
