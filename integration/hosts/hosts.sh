#!/usr/bin/env bash
# hosts.sh up N | start I | kill I | fresh I | down | status
#
# Test hosts: systemd-nspawn containers with a real systemd, sshd, an address and a disk of their own, in network
# namespaces without a route out. The machine's own PID 1 need not be systemd; cgroup v1 or hybrid is enough.
#
#   up N     starts h1..hN (10.77.0.11 ...) and waits until each is running
#   start I  starts host I again, with the disk it has
#   kill I   power cut: everything in the host ends at once, the disk stays
#   fresh I  host I with a new, empty installation
#   down     stops everything and leaves nothing behind
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
lab=${LAB_NAME:-kf}
out=$top/_out/hosts
cgroups=/sys/fs/cgroup
controllers="cpu cpuacct cpuset memory devices freezer blkio pids systemd unified"
owner=/run/kubefile-lab-$lab # which clone the lab's names belong to
# shellcheck source=packages.sh
. "$here/packages.sh"

die() { echo "hosts.sh: $*" >&2; exit 1; }
address() { echo "10.77.0.$((10 + $1))"; }
alive() { [ -d "/proc/$1" ] && ! grep -q '^State:.Z' "/proc/$1/status" 2> /dev/null; }
is() { grep -qs -- "$2" "/proc/$1/cmdline"; } # a pid is killed only while it is what it was
numbers() { find "$out" -maxdepth 1 -name 'h*.img' -printf '%f\n' 2> /dev/null | sed 's/^h//; s/\.img$//' | sort -n; }

# The names in the kernel (namespaces, cgroups, bridge addresses) are one lab's at a time. A clone whose hosts were killed, as
# when a CI job ends, has lost them: what it left is cleared away first.
claim() {
  local other
  other=$(cat "$owner" 2> /dev/null) || true
  if [ -n "$other" ] && [ "$other" != "$top" ] && [ -x "$other/integration/hosts/hosts.sh" ]; then
    if "$other/integration/hosts/hosts.sh" status | grep -q ' up$'; then
      die "lab $lab belongs to $other: stop it there (make hosts-down), or choose another name (LAB_NAME=...)"
    fi
    "$other/integration/hosts/hosts.sh" down
  fi
  echo "$top" > "$owner"
}

# --- network: a bridge inside a namespace of its own; nothing reaches the machine's network -----------------------------
network() {
  local lan=$lab-lan i=$1 n=$lab-h$1
  [ -e "/run/netns/$lan" ] || ip netns add "$lan"
  ip -n "$lan" link set lo up
  ip -n "$lan" link show br0 > /dev/null 2>&1 || ip -n "$lan" link add br0 type bridge
  ip -n "$lan" addr replace 10.77.0.1/24 dev br0
  ip -n "$lan" link set br0 up
  [ -e "/run/netns/$n" ] || ip netns add "$n"
  if ip -n "$lan" link show "v$i" > /dev/null 2>&1; then return; fi
  ip -n "$lan" link add "v$i" type veth peer name eth0 netns "$n"
  ip -n "$lan" link set "v$i" master br0 up
  ip -n "$n" link set lo up
  ip -n "$n" addr add "$(address "$i")/24" dev eth0
  ip -n "$n" link set eth0 up
  # kubeadm and the kubelet take the node's address from the default route's interface; 10.77.0.1 forwards nothing
  ip -n "$n" route add default via 10.77.0.1
}

# --- cgroups: one per host in every hierarchy; it becomes the root of the host's cgroup namespace ------------------------
make_cgroups() {
  local h=$1 c
  for c in $controllers; do
    [ -d "$cgroups/$c" ] || continue
    mkdir -p "$cgroups/$c/$lab"
    if [ "$c" = cpuset ]; then
      echo 1 > "$cgroups/$c/$lab/cgroup.clone_children"
      cat "$cgroups/$c/cpuset.cpus" > "$cgroups/$c/$lab/cpuset.cpus"
      cat "$cgroups/$c/cpuset.mems" > "$cgroups/$c/$lab/cpuset.mems"
    fi
    mkdir -p "$cgroups/$c/$lab/$h"
  done
}

remove_cgroups() {
  local c
  for _ in $(seq 20); do
    for c in $controllers; do
      [ -d "$cgroups/$c/$lab" ] || continue
      find "$cgroups/$c/$lab${1:+/$1}" -depth -type d -exec rmdir {} + 2> /dev/null || true
    done
    # shellcheck disable=SC2144 # one pattern, one directory per controller
    compgen -G "$cgroups/*/$lab${1:+/$1}" > /dev/null || return 0
    sleep .25
  done
}

# --- kernel settings which several hosts need and no namespace has ------------------------------------------------------
# kube-proxy writes nf_conntrack_max unless it reads what it wants already, and in a network namespace the file is read-only.
kernel_settings() {
  local want=$(($(nproc) * 32768)) name
  [ "$want" -ge 131072 ] || want=131072
  if [ ! -f "$out/sysctl.before" ]; then
    for name in fs.inotify.max_user_instances fs.inotify.max_user_watches net.netfilter.nf_conntrack_max; do
      echo "$name=$(sysctl -n $name)"
    done > "$out/sysctl.before"
  fi
  sysctl -qw fs.inotify.max_user_instances=8192 fs.inotify.max_user_watches=1048576 "net.netfilter.nf_conntrack_max=$want"
}

# --- one host -----------------------------------------------------------------------------------------------------------
disk() {
  local i=$1 root=$out/h$1 new=
  mkdir -p "$root"
  if [ ! -f "$root.img" ]; then
    cp --sparse=always "$(template)/disk.img" "$root.img.new"
    mv "$root.img.new" "$root.img"
    new=yes
  fi
  mountpoint -q "$root" || mount -o loop,discard "$root.img" "$root"
  [ -n "$new" ] || return 0
  echo "h$i" > "$root/etc/hostname"
  printf '127.0.0.1 localhost\n::1 localhost ip6-localhost\n%s h%s\n' "$(address "$i")" "$i" > "$root/etc/hosts"
}

template() { "$here/rootfs.sh"; }

boot() {
  local h=h$1 root=$out/h$1 c
  make_cgroups "$h"
  (
    for c in $controllers; do
      [ -d "$cgroups/$c/$lab/$h" ] && echo "$BASHPID" > "$cgroups/$c/$lab/$h/cgroup.procs"
    done
    export SYSTEMD_NSPAWN_API_VFS_WRITABLE=1 # /proc/sys and /sys as on a real host
    exec setsid "$here/boot-loop.sh" "$lab" "$h" "$root" "$out" < /dev/null > "$out/$h.console" 2>&1
  ) &
  echo $! > "$out/$h.loop"
}

running() { local p; p=$(cat "$out/h$1.loop" 2> /dev/null) && alive "$p" && is "$p" boot-loop.sh; }

wait_running() {
  local i=$1 state=unreachable
  for _ in $(seq 120); do
    state=$(timeout 10 "$here/on" "$i" systemctl is-system-running 2> /dev/null) || true
    [ "$state" = running ] && { echo "h$i $(address "$i") running"; return; }
    [ "$state" = degraded ] && break
    sleep .25
  done
  timeout 10 "$here/on" "$i" systemctl --failed --no-legend >&2 || tail -20 "$out/h$i.console" >&2
  die "h$i is not running but ${state:-unreachable}; its console is $out/h$i.console"
}

start() { network "$1"; disk "$1"; running "$1" || boot "$1"; }

# The host's PID 1 is nspawn's child: killing it ends the whole PID namespace, kubelet and pods included.
power_cut() {
  local f=$out/h$1 p
  if [ -f "$f.loop" ]; then
    p=$(cat "$f.loop")
    if is "$p" boot-loop.sh; then kill -9 "$p"; fi
    rm -f "$f.loop"
  fi
  [ -f "$f.pid" ] || return 0
  p=$(cat "$f.pid")
  if alive "$p" && is "$p" systemd-nspawn; then
    cat "/proc/$p/task/"*/children | xargs -r kill -9 2> /dev/null || true
    for _ in $(seq 60); do alive "$p" || break; sleep .25; done
    if alive "$p"; then kill -9 "$p"; fi
  fi
  rm -f "$f.pid"
}

unmount() {
  for _ in $(seq 40); do
    mountpoint -q "$out/h$1" || return 0
    umount "$out/h$1" 2> /dev/null || sleep .25
  done
  die "$out/h$1 stays mounted"
}

fresh() {
  power_cut "$1"
  unmount "$1"
  remove_cgroups "h$1"
  ip -n "$lab-lan" link del "v$1" # at once; with its namespace it would go some time later, and block the name
  ip netns del "$lab-h$1"
  rm -f "$out/h$1.img"
  start "$1"
  wait_running "$1"
}

up() {
  need systemd-container iproute2 openssh-client e2fsprogs
  mkdir -p "$out"
  claim
  kernel_settings
  inventory "$1"
  local i
  for i in $(seq "$1"); do start "$i"; done
  for i in $(seq "$1"); do wait_running "$i"; done
}

# What a test or a person needs to log in.
inventory() {
  local keys i
  keys=$(dirname "$(template)")/keys
  cp -f "$keys"/id_* "$out/"
  chmod 600 "$out"/id_lab "$out"/id_encrypted
  {
    printf '{"namespace":"%s-lan","key":"%s/id_lab","encryptedKey":"%s/id_encrypted","passphrase":"lab-pass",' "$lab" "$out" "$out"
    printf '"passwords":{"root":"lab-root","ops":"lab-ops","nosudo":"lab-nosudo"},"hosts":['
    for i in $(seq "$1"); do printf '%s{"name":"h%s","address":"%s"}' "$([ "$i" = 1 ] || echo ,)" "$i" "$(address "$i")"; done
    printf ']}\n'
  } > "$out/inventory.json"
}

down() {
  local i n
  for i in $(numbers); do power_cut "$i"; done
  for i in $(numbers); do unmount "$i"; done
  remove_cgroups
  for n in $(ip netns list | awk -v lab="$lab-" 'index($1, lab) == 1 {print $1}'); do ip netns del "$n"; done
  [ ! -f "$out/sysctl.before" ] || sysctl -q -p "$out/sysctl.before"
  rm -rf "$out" "$owner"
}

case ${1:-} in
  up) up "${2:-3}" ;;
  start) start "$2"; wait_running "$2" ;;
  kill) power_cut "$2" ;;
  fresh) fresh "$2" ;;
  down) down ;;
  status) for i in $(numbers); do echo "h$i $(address "$i") $(running "$i" && echo up || echo down)"; done ;;
  *) sed -n '2,/^set/p' "$0" | grep '^#'; exit 2 ;;
esac
