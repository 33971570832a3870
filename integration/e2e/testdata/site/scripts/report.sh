#!/bin/sh
# report.sh: puts what a command of the image sees into a ConfigMap.
set -eu
kubectl create configmap report --dry-run=client -o yaml \
  --from-literal="greeting=$GREETING" --from-literal="colour=$COLOUR" --from-literal="fruit=$FRUIT" --from-literal="drink=$DRINK" \
  --from-literal="argument=${ARGUMENT:-}" --from-literal="docker-dir=$docker-dir" --from-literal="disks=${DISKS:-}" \
  --from-file=etc/app.yaml --from-file=etc/motd --from-file=etc/host.conf | kubectl apply -f -
if [ -e etc/login.yaml ]; then kubectl apply -f etc/login.yaml; fi
