# Prints what the host is like, one "key<TAB>value" a line, and changes nothing.
# $1 is the data root; $2 is put before the paths of Kubernetes, for tests. Every program beyond sh may be missing.
top=${2:-}
say() { printf '%s\t%s\n' "$1" "$2"; }
first() { IFS= read -r line 2>/dev/null <"$1" && printf '%s' "$line"; }
have() { command -v "$1" >/dev/null 2>&1; }

say facts 1
say hostname "$(first /proc/sys/kernel/hostname)"
say machine-id "$(first /etc/machine-id)"
say boot-id "$(first /proc/sys/kernel/random/boot_id)"
say arch "$(uname -m)"
say kernel "$(uname -r)"
say time "$(date +%s)"
say init "$(first /proc/1/comm)"

for file in /etc/os-release /usr/lib/os-release; do
  [ -r "$file" ] || continue
  sed -n 's/^\(ID\|VERSION_ID\|PRETTY_NAME\)=\(.*\)$/os-\1\t\2/p' "$file" | head -n 10
  break
done

say cpus "$(grep -c '^processor' /proc/cpuinfo)"
sed -n "s/^\(MemTotal\|SwapTotal\): *\([0-9]*\) kB\$/\1\t\2/p" /proc/meminfo

root=$1
while [ ! -d "$root" ] && [ "$root" != / ]; do root=$(dirname -- "$root"); done
say free-kib "$(df -Pk -- "$root" 2>/dev/null | awk 'NR == 2 { print $4 }')"

if [ -f /sys/fs/cgroup/cgroup.controllers ]; then say cgroup 2; else say cgroup 1; fi

if have ip; then
  ip -o addr show 2>/dev/null | head -n 500 | awk '{ print "address\t" $4 }'
else
  for address in $(hostname -I 2>/dev/null); do say address "$address"; done
fi

# Column 2 is the local address in hexadecimal, column 4 is 0A for a listener.
cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$4 == "0A" { sub(/.*:/, "", $2); print "listen\t" $2 }' | sort -u | head -n 1000
if have ss; then
  ss -Hltnp 2>/dev/null | head -n 1000 | sed -n 's/^[^ ]* *[^ ]* *[^ ]* *[^ ]*:\([0-9]*\) .*users:(("\([^"]*\)".*$/owner\t\1 \2/p'
fi

if have systemctl; then
  for unit in kubelet containerd docker; do
    [ "$(systemctl show -p LoadState --value "$unit.service" 2>/dev/null)" = loaded ] &&
      say "unit-$unit" "$(systemctl is-active "$unit.service" 2>/dev/null)"
  done
fi
for file in kubelet.conf bootstrap-kubelet.conf admin.conf controller-manager.conf scheduler.conf manifests/etcd.yaml \
  manifests/kube-apiserver.yaml manifests/kube-controller-manager.yaml manifests/kube-scheduler.yaml; do
  [ -e "$top/etc/kubernetes/$file" ] && say cluster "/etc/kubernetes/$file"
done
for file in config.yaml kubeadm-flags.env pki/kubelet-client-current.pem; do
  [ -e "$top/var/lib/kubelet/$file" ] && say cluster "/var/lib/kubelet/$file"
done

# What the kubelet's credentials say. Lines that are too long for an answer are left out.
config=$top/etc/kubernetes/kubelet.conf
if [ -r "$config" ]; then
  ca=$(sed -n 's/^ *certificate-authority-data: *//p' "$config" | head -n 1)
  if [ -z "$ca" ]; then
    file=$(sed -n 's/^ *certificate-authority: *//p' "$config" | head -n 1 | tr -d "\"'")
    [ -r "$file" ] && ca=$(base64 <"$file" 2>/dev/null | tr -d '\n')
  fi
  [ "${#ca}" -lt 4000 ] && say kubelet-ca "$ca"
  say kubelet-server "$(sed -n 's/^ *server: *//p' "$config" | head -n 1)"
fi
say cluster-dir "$(sed -n 's|^ExecStart=.* --config \(/.*\)/registry.json$|\1|p' "$top/etc/systemd/system/kubefile-registry.service" 2>/dev/null | head -n 1)"

# A directory that is a disk of its own has lost+found in it.
holds() { [ -n "$(find "$top$1" -mindepth 1 -maxdepth 1 ! -name lost+found 2>/dev/null | head -n 1)" ]; }
holds /var/lib/etcd && say data /var/lib/etcd
# A Clusterfile may put etcd's data elsewhere (etcd.local.dataDir); kubeadm's manifest names the directory.
etcd=$(sed -n 's|^ *- --data-dir=\(/.*\)$|\1|p' "$top/etc/kubernetes/manifests/etcd.yaml" 2>/dev/null | head -n 1)
[ -n "$(find "$top${etcd:-/var/lib/etcd}/member/snap" -name '*.snap' 2>/dev/null | head -n 1)" ] && say etcd-grown 1
[ -n "$(find "$top/var/lib/containerd" -type f ! -path '*/lost+found/*' 2>/dev/null | head -n 1)" ] && say data /var/lib/containerd
cat /proc/[0-9]*/comm 2>/dev/null | grep -x -e etcd -e kubelet -e kube-apiserver -e containerd -e dockerd -e crio -e k3s-server -e k3s-agent -e kubelite |
  sort -u | while read -r name; do say process "$name"; done

for name in awk conntrack crictl curl df ebtables ethtool flock ip iptables modprobe mount nft sha256sum socat ss systemctl tar umount; do
  have "$name" && say command "$name"
done
exit 0
