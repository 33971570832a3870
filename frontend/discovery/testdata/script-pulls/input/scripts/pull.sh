images=(
  example.com/array:1
  "example.com/array:2"
)
for image in "${images[@]}"; do ctr -n k8s.io images pull "$image"; done
while read -r image; do
  crictl pull $image
done < $(dirname $0)/list
if [ "$1" = x ]; then docker pull example.com/then:1; else podman pull example.com/else:1; fi
case $1 in a) sudo nerdctl pull example.com/case:1 ;; esac
for i in $(seq 1 3); do echo $i; done
kubectl set image deployment/web web=example.com/set:1 -n shop
timeout 60 bash -c "crictl pull example.com/nested:1"
