#!/bin/sh
# Prints what the host is like, one "key<TAB>value" a line, and changes nothing.
# $1 is the data root; $2 is put before the paths of files, for tests. Every program beyond sh may be missing.
#
# What is found is empty, or none, only when the host says so. What it cannot say is "unknown<TAB>TOPIC REASON", until a line of the topic,
# or "TOPIC<TAB>known" after the last one of a list, says otherwise. The last line of all is "end<TAB>facts".
top=${2:-}
say() { printf '%s\t%s\n' "$1" "$2"; }
# The last line of a file may have no end.
first() {
  line=
  { IFS= read -r line || [ -n "$line" ]; } 2>/dev/null <"$1" && printf '%s' "$line"
}
have() { command -v "$1" >/dev/null 2>&1; }
# needs TOPIC PROGRAM...: it is unknown as long as nothing else is said of it.
needs() {
  topic=$1 main=$2
  shift
  for program; do
    if ! have "$program"; then
      say unknown "$topic the command $program is missing"
      return
    fi
  done
  say unknown "$topic $main gives no answer"
}
# answer KEY VALUE PROGRAM: what the program printed, which is never nothing.
answer() { if [ -n "$2" ]; then say "$1" "$2"; else needs "$1" "$3"; fi; }
# content KEY FILE: the first line of a file that is always there.
content() { if [ -r "$2" ]; then say "$1" "$(first "$2")"; else say unknown "$1 $2 cannot be read"; fi; }
# What may hang on a broken host does not hold up the rest.
briefly() { if have timeout; then timeout 5 "$@" 2>/dev/null; else "$@" 2>/dev/null; fi; }

hostname=$(first /proc/sys/kernel/hostname)
kernel=$(first /proc/sys/kernel/osrelease)
say facts 1
content hostname /proc/sys/kernel/hostname
if [ -e "$top/etc/machine-id" ]; then content machine-id "$top/etc/machine-id"; else say machine-id ''; fi
content boot-id /proc/sys/kernel/random/boot_id
answer arch "$(uname -m 2>/dev/null)" uname
content kernel /proc/sys/kernel/osrelease
answer time "$(date +%s 2>/dev/null)" date
content init /proc/1/comm
say path "${login_path-$PATH}" # as the login sets it

for file in "$top/etc/os-release" "$top/usr/lib/os-release"; do
  [ -r "$file" ] || continue
  sed -n 's/^\(ID\|VERSION_ID\|PRETTY_NAME\)=\(.*\)$/os-\1\t\2/p' "$file" | head -n 10
  break
done

answer cpus "$(grep -c '^processor' /proc/cpuinfo 2>/dev/null)" grep
needs MemTotal sed
needs SwapTotal sed
sed -n "s/^\(MemTotal\|SwapTotal\): *\([0-9]*\) kB\$/\1\t\2/p" /proc/meminfo 2>/dev/null

needs file-systems df awk
# file_systems PURPOSE=DIRECTORY...: PURPOSE|FREE KIB|FREE INODES|TYPE|OPTIONS|DEVICE|MOUNTED ON, of the nearest directory that exists. Nothing if
# df does not answer for all of them.
file_systems() {
  purposes=
  wanted=$#
  for pair; do
    dir=${pair#*=}
    while [ -n "$dir" ] && [ ! -d "$dir" ]; do dir=${dir%/*}; done
    purposes="$purposes|${pair%%=*}"
    set -- "$@" "${dir:-/}"
  done
  shift "$wanted"
  # The name of a device may have spaces, as that of its mount point may: percent finds the column between them.
  # shellcheck disable=SC2016 # awk expands it
  { briefly df -Pi -- "$@"; echo '=='; briefly df -Pk -- "$@"; } | awk -v purposes="${purposes#|}" '
    function percent(i) {
      for (i = 5; i <= NF; i++) if ($i ~ /^([0-9]+%|-)$/ && $(i - 1) ~ /^-?[0-9]+$/ && $(i - 2) ~ /^-?[0-9]+$/ && $(i - 3) ~ /^[0-9]+$/) return i
      return 0
    }
    BEGIN { wanted = split(purposes, purpose, "|") }
    NR == FNR && $0 == "==" { sizes = 1; next }
    NR == FNR && !(n = percent()) { next }
    NR == FNR && !sizes { inodes[++counted] = ($(n - 3) > 0) ? $(n - 1) : ""; next }
    NR == FNR {
      free[++known] = $(n - 1)
      for (i = 1; i <= n - 4; i++) device[known] = device[known] (i > 1 ? " " : "") $i
      for (i = n + 1; i <= NF; i++) mount[known] = mount[known] (i > n + 1 ? " " : "") $i
      next
    }
    { where = $2; gsub(/\\040/, " ", where); type[where] = $3; options[where] = $4 }
    END {
      if (known != wanted || counted != 0 && counted != wanted) exit
      for (i = 1; i <= wanted; i++)
        print "file-system\t" purpose[i] "|" free[i] "|" inodes[i] "|" type[mount[i]] "|" options[mount[i]] "|" device[i] "|" mount[i]
    }' - /proc/mounts 2>/dev/null
}
set -- "$1" "data-root=$1"
for dir in /var/lib/containerd /var/lib/kubelet /var/lib/etcd /usr/local/bin /opt/cni/bin /etc /tmp; do set -- "$@" "$dir=$dir"; done
root=$1
shift
silent=
found=$(file_systems "$@")
if [ -n "$found" ]; then
  printf '%s\n' "$found"
else # one at a time: some of them answer
  for pair; do
    found=$(file_systems "$pair")
    if [ -n "$found" ]; then printf '%s\n' "$found"; else silent="$silent, ${pair#*=}"; fi
  done
fi
set -- "$root"
if [ -z "$silent" ]; then
  say file-systems known
elif have df && have awk; then
  say unknown "file-systems df gives no answer for ${silent#, }"
fi
for dir in "$1" /var/lib/containerd /var/lib/kubelet /var/lib/etcd; do [ -L "$top$dir" ] && say symlink "$dir"; done

if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
  say cgroup 2
  say controllers "$(first /sys/fs/cgroup/cgroup.controllers)"
elif [ -d /sys/fs/cgroup/cpu ] || [ -d /sys/fs/cgroup/memory ] || [ -d /sys/fs/cgroup/systemd ]; then
  say cgroup 1
  say controllers "$(awk '$4 == 1 { print $1 }' /proc/cgroups 2>/dev/null | tr '\n' ' ')"
else
  say unknown 'cgroup nothing is mounted at /sys/fs/cgroup'
fi

needs addresses ip awk
needs routes ip awk
if have ip; then
  # Addresses that come and go are not those of a node. Of a list that is cut off it is not known what is missing.
  ip -o addr show 2>/dev/null | awk '
    NR <= 500 { print "address\t" $4 " " $2 (/ (temporary|deprecated|tentative|dadfailed)( |\\|$)/ ? " passing" : "") }
    END { if (NR > 500) print "unknown\taddresses there are more than 500"; else if (NR > 0) print "addresses\tknown" }'
  # A kernel without IPv6 gives no answer about its routes.
  if four=$(ip -4 -o route show 2>/dev/null) && { six=$(ip -6 -o route show 2>/dev/null) || [ ! -e /proc/net/if_inet6 ]; }; then
    printf '%s\n%s\n' "$four" "$six" | awk '
      NF > 0 && ++routes <= 1000 {
        type = metric = ""; dst = $1
        if ($1 == "blackhole" || $1 == "unreachable" || $1 == "prohibit") { type = $1; dst = $2 }
        for (i = 2; i < NF; i++) {
          if ($i == "dev" && type == "") type = $(i + 1)
          if ($i == "metric") metric = $(i + 1)
        }
        family = index($0, ":") ? 6 : 4
        print "route\t" family " " dst " " type " " metric }
      END { if (routes > 1000) print "unknown\troutes there are more than 1000"; else print "routes\tknown" }'
  fi
else
  for address in $(hostname -I 2>/dev/null); do
    say address "$address"
    say addresses known
  done
fi

# Column 2 is the local address in hexadecimal, column 4 is 0A for a listener.
needs listeners cat awk sort head
cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$4 == "0A" { sub(/.*:/, "", $2); print "listen\t" $2 } END { if (NR > 0) print "listeners\tknown" }' |
  sort -u | head -n 1000
if have ss; then
  ss -Hltnp 2>/dev/null | head -n 1000 | sed -n 's/^[^ ]* *[^ ]* *[^ ]* *[^ ]*:\([0-9]*\) .*users:(("\([^"]*\)".*$/owner\t\1 \2/p'
fi

# Units that are installed, and whether they run.
booted=
needs units systemctl awk
[ -d /run/systemd/system ] && have systemctl && booted=1
[ -d /run/systemd/system ] || say units known # there are none
if [ -n "$booted" ]; then
  set -- "$1"
  for unit in kubelet containerd docker crio cri-docker k3s k3s-agent rke2-server rke2-agent k0scontroller k0sworker snap.microk8s.daemon-kubelite \
    firewalld ufw chronyd chrony systemd-timesyncd ntpd ntp ntpsec NetworkManager systemd-resolved; do set -- "$@" "$unit.service"; done
  root=$1
  shift
  briefly systemctl show -p Id -p LoadState -p ActiveState "$@" | awk -F= '
    function flush() { if (load == "loaded") { sub(/\.service$/, "", id); print "unit-" id "\t" active } id = load = active = "" }
    $1 == "Id" { id = $2 } $1 == "LoadState" { load = $2 } $1 == "ActiveState" { active = $2 } $0 == "" { flush() } END { flush(); if (NR > 0) print "units\tknown" }'
  set -- "$root"
fi
# Not by timedatectl, which starts a service to answer.
if [ -e "$top/run/systemd/timesync/synchronized" ]; then
  say time-sync yes
elif have chronyc; then
  case $(briefly chronyc -n tracking) in
    *'Leap status'*'Not synchronised'*) say time-sync no ;;
    *'Leap status'*) say time-sync yes ;;
  esac
elif [ -d "$top/run/systemd/timesync" ]; then
  say time-sync no
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
# The networks that our unit sets routes to, each after the address whose interface they lead through.
sed -n 's|^ExecStart=/bin/sh .*/service-route\.sh replace ||p' "$top/etc/systemd/system/kubefile-service-route.service" 2>/dev/null |
  while IFS= read -r line; do say service-route "$line"; done
say cluster-dir "$(sed -n 's|^ExecStart=.* --config \(/.*\)/registry.json$|\1|p' "$top/etc/systemd/system/kubefile-registry.service" 2>/dev/null | head -n 1)"

# What is below a directory, up to the first that find prints. On a network file system that is dead it has no end.
hung=
holds() {
  # timeout(1) ends with 124, that of busybox with what ended the program.
  seen=$({
    briefly find "$@" 2>/dev/null
    case $? in 124 | 137 | 143) echo hung ;; esac
  } | head -n 1)
  if [ "$seen" = hung ]; then hung=", $1$hung" seen=; fi
  [ -n "$seen" ]
}
needs directories find head
# A directory that is a disk of its own has lost+found in it.
holds "$top/var/lib/etcd" -mindepth 1 -maxdepth 1 ! -name lost+found && say data /var/lib/etcd
# A Clusterfile may put etcd's data elsewhere (etcd.local.dataDir); kubeadm's manifest names the directory.
etcd=$(sed -n 's|^ *- --data-dir=\(/.*\)$|\1|p' "$top/etc/kubernetes/manifests/etcd.yaml" 2>/dev/null | head -n 1)
holds "$top${etcd:-/var/lib/etcd}/member/snap" -name '*.snap' && say etcd-grown 1
holds "$top/var/lib/containerd" -type f ! -path '*/lost+found/*' && say data /var/lib/containerd
if [ -n "$hung" ]; then
  say unknown "directories find does not end in ${hung#, }"
elif have find && have head; then
  say directories known
fi
needs processes cat grep sort
have cat && have grep && have sort && [ -r /proc/1/comm ] && say processes known
cat /proc/[0-9]*/comm 2>/dev/null | grep -x -e etcd -e kubelet -e kube-apiserver -e containerd -e dockerd -e crio -e k3s-server -e k3s-agent -e kubelite |
  sort -u | while read -r name; do say process "$name"; done

for file in "$top"/etc/cni/net.d/*.conf "$top"/etc/cni/net.d/*.conflist "$top"/etc/cni/net.d/*.json; do
  [ -f "$file" ] && say cni "${file#"$top"}"
done | head -n 20
for socket in /run/containerd/containerd.sock /run/crio/crio.sock /run/cri-dockerd.sock; do [ -S "$top$socket" ] && say socket "$socket"; done

# kubeadm has the kubelet use the file of systemd-resolved while that runs.
resolv=/etc/resolv.conf
[ -z "$top" ] && [ -r /run/systemd/resolve/resolv.conf ] && [ -n "$booted" ] && briefly systemctl is-active --quiet systemd-resolved.service &&
  resolv=/run/systemd/resolve/resolv.conf
needs nameservers awk
if [ -r "$top$resolv" ]; then
  say resolv-conf "$resolv"
  awk '$1 ~ /^(nameserver|search|domain|options)$/ && NF > 1 && ++lines <= 50 { $1 = $1; print "resolv\t" $0 } END { print "nameservers\tknown" }' \
    "$top$resolv" 2>/dev/null
elif [ -e "$top$resolv" ]; then
  say unknown "resolv-conf $resolv cannot be read"
else # there is none
  say resolv-conf ''
  say nameservers known
fi
# Addresses that the hosts file gives for the host's own name.
awk -v name="$hostname" '{ sub(/#.*/, "") } { for (i = 2; i <= NF; i++) if ($i == name) { print "hosts-file\t" $1; next } }' "$top/etc/hosts" 2>/dev/null | head -n 20

# A shell may read byte by byte, and the kernel answers for a number only once.
(cd /proc/sys && grep -sH . net/ipv4/ip_forward net/ipv6/conf/default/forwarding net/ipv6/conf/all/disable_ipv6 net/ipv4/conf/all/rp_filter \
  net/ipv4/conf/default/rp_filter fs/inotify/max_user_instances fs/inotify/max_user_watches fs/nr_open kernel/pid_max) 2>/dev/null |
  sed -n 's|/|.|g; s/^\([^:]*\):\(.*\)$/sysctl\t\1 \2/p'
# Files that turn forwarding off at the next boot.
grep -sHE '^[[:space:]]*-?net[./]ipv[46][./](ip_forward|conf[./](all|default)[./]forwarding)[[:space:]]*=[[:space:]]*0' \
  "$top/etc/sysctl.conf" "$top"/etc/sysctl.d/*.conf "$top"/run/sysctl.d/*.conf "$top"/usr/lib/sysctl.d/*.conf |
  head -n 20 | while IFS= read -r line; do say no-forwarding "${line#"$top"}"; done

modules=$top/lib/modules/$kernel
set -- "$1"
for name in overlay br_netfilter nf_conntrack vxlan ip_vs ip_vs_rr nf_tables ip_tables xt_comment; do
  if [ -e "/sys/module/$name" ]; then say module "$name loaded"; else set -- "$@" "$name"; fi
done
root=$1
shift
# files_of FILE NAME...: the names of those modules in the file, as /NAME.ko
files_of() {
  list=$1
  shift
  for name; do
    shift
    set -- "$@" -e "/$name\.ko"
  done
  grep -hos "$@" "$list"
}
if [ $# -gt 0 ]; then
  loaded=$(cat /proc/modules 2>/dev/null)
  builtin=$(files_of "$modules/modules.builtin" "$@")
  loadable=$(files_of "$modules/modules.dep" "$@")
fi
for name; do
  case "
$loaded" in *"
$name "*) say module "$name loaded"; continue ;; esac
  case $builtin in *"/$name.ko"*) say module "$name builtin"; continue ;; esac
  if [ ! -r "$modules/modules.dep" ] || [ ! -r "$modules/modules.builtin" ]; then continue; fi
  case $loadable in *"/$name.ko"*) say module "$name loadable" ;; *) say module "$name missing" ;; esac
done
set -- "$root"

[ -r /sys/fs/selinux/enforce ] && say selinux "$(first /sys/fs/selinux/enforce)"
grep -qs '^ENABLED=yes' "$top/etc/ufw/ufw.conf" && say firewall ufw
# Asking for rules would load the modules of a packet filter that is not in use.
if have nft && { [ -e /sys/module/nf_tables ] || grep -qs '/nf_tables\.ko' "$modules/modules.builtin"; }; then
  briefly nft list chains | head -n 2000 | sed -n 's/^.*type filter hook \(input\|forward\) .*policy drop.*$/firewall\t\1-drop/p' | sort -u
fi
if have iptables && [ -s /proc/net/ip_tables_names ]; then
  briefly iptables -S | head -n 2000 | sed -n 's/^-P INPUT DROP$/firewall\tinput-drop/p; s/^-P FORWARD DROP$/firewall\tforward-drop/p'
fi

if [ ! -e "$top/etc/cloud/cloud-init.disabled" ]; then
  grep -slE "^[[:space:]]*manage_etc_hosts:[[:space:]]*[\"']?(true|True|template|yes)" "$top/etc/cloud/cloud.cfg" "$top"/etc/cloud/cloud.cfg.d/*.cfg \
    "$top/var/lib/cloud/instance/cloud-config.txt" | head -n 3 | while IFS= read -r file; do say cloud-hosts "${file#"$top"}"; done
fi
needs network-manager grep
if have grep; then
  grep -qsE '^[[:space:]]*unmanaged-devices.*(flannel|cni|cali)' "$top/etc/NetworkManager/NetworkManager.conf" "$top"/etc/NetworkManager/conf.d/*.conf \
    "$top"/run/NetworkManager/conf.d/*.conf "$top"/usr/lib/NetworkManager/conf.d/*.conf && say nm-unmanaged 1
  say network-manager known
fi
# Names only: a proxy's address may have a password in it.
{ env | sed -n 's/^\([Hh][Tt][Tt][Pp][Ss]\{0,1\}_[Pp][Rr][Oo][Xx][Yy]\)=..*/\1/p'
  sed -n 's/^ *\(export \)\{0,1\}\([Hh][Tt][Tt][Pp][Ss]\{0,1\}_[Pp][Rr][Oo][Xx][Yy]\)=..*/\2/p' "$top/etc/environment" 2>/dev/null; } |
  sort -u | head -n 10 | while read -r name; do say proxy "$name"; done

for name in awk bash conntrack cp crictl curl df ebtables ethtool flock ip iptables losetup modprobe mount nft sha256sum socat ss systemctl tar timeout umount; do
  have "$name" && say command "$name"
done
say commands known
say end facts
