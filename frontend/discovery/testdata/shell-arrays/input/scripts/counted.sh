images=(example.com/counted:0 example.com/counted:1 example.com/counted:2)
for ((i = 0; i < ${#images[@]}; i++)); do crictl pull "${images[$i]}"; done
for ((n = ${#images[@]} - 1; n >= 0; n--)); do helm upgrade --install "web$n" charts/web --set "tag=counted-$n"; done
i=0
while [ $i -lt 3 ]; do crictl pull "example.com/while:$i"; i=$((i + 1)); done
until [[ $i -le 1 ]]; do crictl pull "example.com/until:$i"; let i-=1; done
i=0
while ((i < 2)); do crictl pull "example.com/arithmetic:$i"; ((i++)); done
for i in $(seq 0 1); do crictl pull "example.com/seq:$i"; done
i=1
while [ "$i" -ne 3 ]; do crictl pull "example.com/expr:$i"; i=$(expr $i + 1); done
rest=("${images[@]}")
while [ ${#rest[@]} -gt 0 ]; do crictl pull "${rest[0]/counted/rest}"; rest=("${rest[@]:1}"); done
set -- example.com/shift:1 example.com/shift:2
while (($#)); do crictl pull "$1"; shift; done
for ((k = 0; k < NODES; k++)); do crictl pull "${images[k]}"; done
crictl pull "${images[$(somewhere)]}"
crictl pull "${images[j++]}"
tries=0
while [ $tries -lt 5 ]; do crictl pull example.com/ready:1 && break; tries=$((tries + 1)); done
