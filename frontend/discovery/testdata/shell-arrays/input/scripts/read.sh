mapfile -t images < images.conf
for image in "${images[@]}"; do crictl pull "$image"; done
readarray -t lines < <(printf '%s\n' example.com/process:1 example.com/process:2)
crictl pull "${lines[1]}"
IFS=, read -ra list <<< "example.com/string:1,example.com/string:2"
for image in "${list[@]}"; do crictl pull "$image"; done
while IFS=: read -r name tag; do
  crictl pull "example.com/$name:$tag"
done <<EOF
one:1
two:2
EOF
printf '%s\n' example.com/xargs:1 example.com/xargs:2 | xargs -n1 crictl pull
echo "tag: file" > /tmp/values.yaml
echo "side: true" >> /tmp/values.yaml
helm install web ./charts/web -f /tmp/values.yaml
printf -v name 'example.com/%s:1' printed
crictl pull "$name"
IFS=$'\n' read -d '' -ra whole <<< $'example.com/whole:1\nexample.com/whole:2' || true
for image in "${whole[@]}"; do crictl pull "$image"; done
unset 'whole[0]'
crictl pull "example.com/unset:${#whole[@]}"
bash -c 'crictl pull "$1"' _ example.com/inline:1
