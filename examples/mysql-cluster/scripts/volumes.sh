#!/bin/sh
# volumes.sh: makes a volume for each of $MYSQL_VOLUMES pods, on the nodes that take pods, in turn. One that is there stays where it is.
set -eu
dir=${KUBEFILE_ROOTFS%/rootfs}/data # on every node; it goes when the cluster is deleted
# shellcheck disable=SC2016 # a template
free='{{range .items}}{{$free := not .spec.unschedulable}}{{range .spec.taints}}{{if ne .effect "PreferNoSchedule"}}{{$free = false}}{{end}}{{end}}
{{- if $free}}{{index .metadata.labels "kubernetes.io/hostname"}}{{"\n"}}{{end}}{{end}}'

volume() { # POD NODE
  cat << YAML
apiVersion: v1
kind: PersistentVolume
metadata:
  name: $1
spec:
  capacity:
    storage: 10Gi
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: ""
  claimRef:
    namespace: mysql
    name: data-$1
  hostPath:
    path: $dir/$1
    type: DirectoryOrCreate
  nodeAffinity:
    required:
      nodeSelectorTerms:
      - matchExpressions:
        - key: kubernetes.io/hostname
          operator: In
          values: ["$2"]
YAML
}

# shellcheck disable=SC2046 # names of nodes
set -- $(kubectl get nodes -o go-template="$free")
[ $# -gt 0 ] || { echo "volumes.sh: no node takes pods" >&2; exit 1; }
i=0
while [ "$i" -lt "$MYSQL_VOLUMES" ]; do
  kubectl get persistentvolume "mysql-$i" > /dev/null 2>&1 || volume "mysql-$i" "$1" | kubectl apply -f -
  set -- "$@" "$1" # this node comes last now
  shift
  i=$((i + 1))
done
