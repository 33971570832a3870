#!/usr/bin/env bash
# hosts.sh up N [--system [I=]RELEASE]... [--harsh [I=]NAME[,NAME...]]... | start I | kill I | fresh I | down | status | harsh | template
#
# Test hosts: systemd-nspawn containers with a real systemd, sshd, an address and a disk of their own, in network
# namespaces without a route out. The machine's own PID 1 need not be systemd; cgroup v1 or hybrid is enough. See README.md.
#
#   up N     starts h1..hN (10.77.0.11 ...) and waits until each is running; a host that differs is reinstalled
#     --system   Debian release of all hosts, or of host I: bookworm (default), bullseye, trixie
#     --harsh    properties of all hosts, or of host I
#   start I  starts host I again, with the disk it has
#   kill I   power cut: everything in the host ends at once, the disk stays
#   fresh I  host I with a new, empty installation of the same system and properties
#   down     stops everything and leaves nothing behind; a lab of this name that another clone has started stays
#   status   lists the hosts
#   harsh    lists the properties
#   template makes the disk template of the default system, which up makes otherwise
set -euo pipefail
# shellcheck source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"
# shellcheck source=packages.sh
. "$here/packages.sh"
# shellcheck source=settings.sh
. "$here/settings.sh"
# shellcheck source=cgroups.sh
. "$here/cgroups.sh"
# shellcheck source=network.sh
. "$here/network.sh"
# shellcheck source=harsh.sh
. "$here/harsh.sh"
# shellcheck source=disk.sh
. "$here/disk.sh"
default_system=bookworm

boot() {
  local h=h$1
  make_cgroups "$h"
  (
    enter_cgroups "$h"
    echo "$BASHPID" > "$out/$h.loop" # by itself: an interrupt ends its parent only
    export SYSTEMD_NSPAWN_API_VFS_WRITABLE=1 # /proc/sys and /sys as on a real host
    exec setsid "$here/boot-loop.sh" "$lab" "$h" "$(name_of "$1")" "$out" < /dev/null > "$out/$h.console" 2>&1
  ) &
}

running() { local p; p=$(cat "$out/h$1.loop" 2> /dev/null) && alive "$p" && is "$p" boot-loop.sh; }

wait_running() {
  local i=$1 state=unreachable
  for _ in $(seq 240); do
    state=$(timeout 10 "$here/on" "$i" systemctl is-system-running 2> /dev/null) || true
    [ "$state" = running ] && { echo "h$i $(address "$i") running"; return; }
    [ "$state" = degraded ] && break
    sleep .25
  done
  timeout 10 "$here/on" "$i" systemctl --failed --no-legend >&2 || tail -20 "$out/h$i.console" >&2
  die "h$i is not running but ${state:-unreachable}; its console is $out/h$i.console"
}

start() {
  network "$1"
  mount_pool
  disk "$1"
  running "$1" || boot "$1"
}

# The host's PID 1 is nspawn's child: killing it ends the whole PID namespace, kubelet and pods included.
power_cut() {
  local f=$out/h$1 p
  if [ -f "$f.loop" ]; then
    p=$(cat "$f.loop")
    ! is "$p" boot-loop.sh || kill -9 "$p" 2> /dev/null || true # it may end by itself at this moment
    rm -f "$f.loop"
  fi
  [ -f "$f.pid" ] || return 0
  p=$(cat "$f.pid")
  if alive "$p" && is "$p" systemd-nspawn; then
    cat "/proc/$p/task/"*/children | xargs -r kill -9 2> /dev/null || true
    for _ in $(seq 60); do alive "$p" || break; sleep .25; done
    ! alive "$p" || kill -9 "$p" 2> /dev/null || true
  fi
  rm -f "$f.pid"
}

# remove_host leaves nothing of host I but its line in the inventory.
remove_host() {
  power_cut "$1"
  discard "$out/h$1"
  unmount "$out/h$1"
  remove_cgroups "h$1"
  remove_network "$1"
  remove_disk "$1"
}

fresh() {
  register_lab
  mount_pool
  remove_host "$1"
  start "$1"
  wait_running "$1"
}

# option VALUE sets an option of all hosts, or of host I when VALUE is I=VALUE. Properties add up; a system replaces.
option() {
  local kind=$1 value=$2 i for_hosts
  for_hosts=$(seq "$count")
  if [[ $value = *=* ]]; then
    for_hosts=${value%%=*} value=${value#*=}
    [[ " $(seq -s ' ' "$count") " = *" $for_hosts "* ]] || die "$kind $for_hosts=$value: there is no host $for_hosts among $count"
  fi
  for i in $for_hosts; do
    case $kind in
      --harsh) properties[i]="${properties[i]} ${value//,/ }" ;;
      --system) system[i]=$value ;;
    esac
  done
}

# read_specs reads the arguments of up: the system and the properties of each host.
read_specs() {
  local i names
  for i in $(seq "$count"); do properties[i]='' system[i]=$default_system; done
  while [ $# -gt 0 ]; do
    case $1 in
      --harsh | --system) [ $# -ge 2 ] || die "$1 needs a value"; option "$1" "$2"; shift 2 ;;
      *) die "unknown argument \"$1\"" ;;
    esac
  done
  for i in $(seq "$count"); do
    case ${system[i]} in bullseye | bookworm | trixie) ;; *) die "unknown system \"${system[i]}\": use bullseye, bookworm or trixie" ;; esac
    read -r -a names <<< "$(xargs -n1 <<< "${properties[i]}" | sort -u | paste -sd ' ')"
    check_properties "${names[@]}"
    spec[i]="${system[i]} $(IFS=,; echo "${names[*]}")"
  done
}

# write_specs removes hosts whose system or properties differ.
write_specs() {
  local i
  for i in $(seq "$count"); do
    if [ -f "$out/h$i.spec" ] && [ "$(spec_of "$i")" != "${spec[i]}" ]; then
      echo "reinstalling h$i: ${spec[i]}"
      mount_pool
      remove_host "$i"
    fi
    echo "${spec[i]}" > "$out/h$i.spec"
  done
}

up() {
  local count=$1 i
  local -a properties system spec
  shift
  [[ $count =~ ^[1-9][0-9]?$ ]] || die "up needs the number of hosts, 1 to 99"
  read_specs "$@"
  check_cache
  need systemd-container iproute2 openssh-client e2fsprogs xfsprogs
  claim
  mkdir -p "$out"
  register_lab
  write_specs
  inventory
  for i in $(seq "$count"); do start "$i"; done
  for i in $(seq "$count"); do wait_running "$i"; done
}

# inventory writes what a test or a person needs to log in.
inventory() {
  local keys i
  keys=$("$here/rootfs.sh" keys)
  cp -f "$keys"/id_* "$out/"
  chmod 600 "$out"/id_lab "$out"/id_encrypted
  {
    printf '{"namespace":"%s-lan","key":"%s/id_lab","encryptedKey":"%s/id_encrypted","passphrase":"lab-pass",' "$lab" "$out" "$out"
    printf '"passwords":{"root":"lab-root","ops":"lab-ops","nosudo":"lab-nosudo"},"hosts":['
    for i in $(seq "$count"); do
      printf '%s{"name":"%s","address":"%s","system":"%s"}' "$([ "$i" = 1 ] || echo ,)" "$(name_of "$i")" "$(address "$i")" "$(system_of "$i")"
    done
    printf ']}\n'
  } > "$out/inventory.json"
}

status() {
  local i
  for i in $(numbers); do echo "h$i $(address "$i") $(spec_of "$i") $(running "$i" && echo up || echo down)"; done
  [ -n "$(numbers)" ] || no_hosts
}

# own_processes prints the processes of this clone's hosts, also of those that no file tells of.
own_processes() {
  local file words
  grep -lsF -- "$out" /proc/[0-9]*/cmdline | while read -r file; do
    { mapfile -d '' words < "$file"; } 2> /dev/null || continue # it may have ended
    case " ${words[*]::2}" in *[/\ ]boot-loop.sh* | *[/\ ]systemd-nspawn*) ;; *) continue ;; esac
    case "${words[*]} " in *" $out "* | *" $out/h"*) basename "$(dirname "$file")" ;; esac
  done
}

# kill_rest kills hosts that no file tells of.
kill_rest() {
  local p
  for p in $(own_processes); do
    cat "/proc/$p/task/"*/children 2> /dev/null | xargs -r kill -9 2> /dev/null || true
    kill -9 "$p" 2> /dev/null || true
  done
  for _ in $(seq 60); do [ -n "$(own_processes)" ] || return 0; sleep .25; done
  die "processes of the hosts do not end: $(own_processes | paste -sd ' '); find out why with ps, and run down again"
}

down() {
  local i other
  for i in $(numbers); do power_cut "$i"; done
  kill_rest
  for i in $(numbers); do discard "$out/h$i"; unmount "$out/h$i"; done
  unmount_pool
  other=$(other_owner)
  if [ -z "$other" ]; then
    remove_cgroups
    remove_all_networks
    unregister_lab
  else
    echo "lab $lab belongs to $other and stays: $(how_to_stop "$other")"
  fi
  rm -rf "$out"
}

case ${1:-} in
  up) shift; up "${@:-3}" ;;
  start) require_host "${2:-}"; register_lab; start "$2"; wait_running "$2" ;;
  kill) require_host "${2:-}"; power_cut "$2" ;;
  fresh) require_host "${2:-}"; fresh "$2" ;;
  down) down ;;
  status) status ;;
  harsh) list_properties ;;
  template) make_template "$default_system" ;;
  *)
    [ $# -eq 0 ] || echo "hosts.sh: unknown command \"$1\"; the commands are:" >&2
    sed -n '2,/^set/p' "$0" | grep '^#' >&2
    exit 2
    ;;
esac
