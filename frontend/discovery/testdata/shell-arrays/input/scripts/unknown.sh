args=($(cat /etc/somewhere))
helm install web ./charts/web --set tag=unknown "${args[@]}"
helm install web ./charts/web --set tag=unset $HELM_OPTS
mapfile -t more
helm install web ./charts/web --set tag=input "${more[@]}"
helm install $HELM_OPTS web ./charts/web --set tag=before
helm install ./charts/web --generate-name --set tag=generated $HELM_OPTS
helm upgrade -i "$NAME" ./charts/web --version "$VERSION" --set tag=named
