declare -a images
images[0]=example.com/element:0
images[2]=example.com/element:2
images+=("example.com/element:3")
i=4
images[i]=example.com/element:4
images[$((i + 1))]=example.com/element:5
for image in "${images[@]}"; do
  crictl pull "$image"
done
crictl pull "example.com/count:${#images[@]}"
crictl pull "${images[0]/element/single}"
more=(--debug pull example.com/slice:1 ignored)
crictl "${more[@]:1:2}"
declare -A tags=([a]=1 [b]=2)
tags[c]=3
for key in "${!tags[@]}"; do crictl pull "example.com/map-$key:${tags[$key]}"; done
