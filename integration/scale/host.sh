#!/bin/sh
# host.sh ADDRESS NAME LOWER: makes the namespaces that it runs in those of a host, and holds them. LOWER is what is on the host's disk at first.
set -eu
address=$1 name=$2 lower=$3
dir=/mnt/hosts/$address
hostname "$name"
for path in etc var/lib root opt run; do
  mkdir -p "$dir/upper/$path" "$dir/work/$path"
  mount -t overlay -o "lowerdir=$lower/$path,upperdir=$dir/upper/$path,workdir=$dir/work/$path" "$name" "/$path"
done
# All hosts have one agent, as one file: a real unit runs the file that is installed on its host.
mount --bind /mnt/shared /usr/local
echo "$name" > /etc/hostname
printf '%s' "$name" | md5sum | cut -c 1-32 > /etc/machine-id
echo "$address" > /etc/address
if [ -e /etc/kubernetes/kubelet.conf ]; then /mnt/bin/kubeadm register; fi
echo $$ > "$dir/pid.new"
mv "$dir/pid.new" "$dir/pid"
exec sleep infinity
