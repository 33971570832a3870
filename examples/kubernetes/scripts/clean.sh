#!/bin/sh
# clean.sh: undoes init.sh and everything that ran because of it, by what init.sh noted. It goes on after failures, and can be run
# again and on a host on which init.sh stopped anywhere.
set -u
umask 022
# shellcheck source-path=SCRIPTDIR/..
. scripts/record.sh
[ -f "$record" ] || exit 0

# --- what runs -------------------------------------------------------------------------------------------------------
stop_everything() {
  systemctl disable --quiet --now kubelet 2> /dev/null
  if systemctl is-active --quiet containerd; then
    pods=$(bin/crictl pods -q 2> /dev/null)
    # shellcheck disable=SC2086 # a list of IDs
    [ -z "$pods" ] || timeout 90 bin/crictl rmp -f $pods > /dev/null 2>&1
  fi
  systemctl disable --quiet --now containerd 2> /dev/null
  # Shims outlive containerd on purpose (KillMode=process); those that are left are of pods that did not end.
  for pid in $(shims); do kill -9 "$pid" 2> /dev/null; done
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ -n "$(shims)" ] || break
    sleep 0.3
  done
  # What is left ignores that it was told to end; systemd would wait 90 s for it, and note the scope as failed.
  systemctl kill --signal=KILL kubepods.slice 2> /dev/null
  systemctl stop kubepods.slice 2> /dev/null # and with it the slices of all pods
}

shims() {
  for exe in /proc/[0-9]*/exe; do
    case $(readlink "$exe" 2> /dev/null) in
      /usr/local/bin/containerd-shim-runc-v2*) p=${exe#/proc/}; echo "${p%/exe}" ;;
    esac
  done
}

# --- mounts, interfaces, rules ------------------------------------------------------------------------------------------
unmount_all() {
  # The deepest first. A disk that somebody mounted at one of these directories itself stays.
  awk '{print $5}' /proc/self/mountinfo | grep -E '^/(var/lib/kubelet|var/lib/containerd|run/containerd)/' | sort -r |
    while read -r dir; do umount -l "$dir" 2> /dev/null; done
  for ns in /run/netns/cni-*; do
    if [ -e "$ns" ] && ! grep -q -x -F "netns $ns" "$record"; then
      umount -l "$ns" 2> /dev/null
      rm -f "$ns"
    fi
  done
}

remove_interfaces() {
  # The kernel removes the interfaces of pods some time after their network namespaces.
  if ! grep -q -x -F "link cni0" "$record"; then
    for link in $(ip -o link show master cni0 type veth 2> /dev/null | link_names); do ip link delete "$link" 2> /dev/null; done
  fi
  for link in $made_links; do
    grep -q -x -F "link $link" "$record" || ip link delete "$link" 2> /dev/null
  done
  noted "began links" || return
  for link in $(links); do
    if made_by_plugin "$link" && ! grep -q -x -F "link $link" "$record"; then ip link delete "$link" 2> /dev/null; fi
  done
}

# kube-proxy in mode ipvs makes virtual services, and sets of addresses for its rules.
clean_ipvs() {
  if command -v ipset > /dev/null; then
    ipset list -n 2> /dev/null | grep '^KUBE-' | while read -r name; do ipset destroy "$name"; done
  fi
  if ! noted "began links" || noted "ipvs services" || ! has_virtual_services; then return; fi
  if command -v ipvsadm > /dev/null && ipvsadm --clear; then return; fi
  echo "left: virtual services of kube-proxy in the kernel (/proc/net/ip_vs): they end with the next boot; without it, run ipvsadm --clear"
}

# A host needs no iptables and nft: kube-proxy and flannel have their own. Those of kube-proxy's container remove the rules then, before it
# is gone. It is on the host's network.
container=

# has COMMAND, and by COMMAND ARGUMENT...: of the host, or of that container.
has() { command -v "$1" > /dev/null || { [ -n "$container" ] && ls "$container/usr/sbin/$1" > /dev/null 2>&1; }; }

by() {
  if command -v "$1" > /dev/null; then
    "$@"
  else
    command=$1
    shift
    chroot "$container" "/usr/sbin/$command" "$@"
  fi
}

# clean_rules_by_container: what makes the rules is stopped, or would make them again.
clean_rules_by_container() {
  if command -v iptables-save > /dev/null && command -v nft > /dev/null || noted "rules gone"; then return; fi
  systemctl stop kubelet 2> /dev/null
  for process in /proc/[0-9]*; do
    name=$(cat "$process/comm" 2> /dev/null)
    case $name in kube-proxy | flanneld) ;; *) continue ;; esac
    grep -q kubepods "$process/cgroup" 2> /dev/null || continue
    kill -STOP "${process#/proc/}" 2> /dev/null
    [ "$name" != kube-proxy ] || container=$process/root
  done
  if [ -n "$container" ]; then
    clean_rules
    container=
    note "rules gone"
  elif [ -d /var/lib/kubelet/pods ]; then
    echo "left: rules of kube-proxy in the kernel's packet filter: the host has no iptables and nft, and kube-proxy does not run; they end with the next boot"
  fi
}

# Only chains of Kubernetes and of the network plugins go; rules of others stay where they are.
clean_rules() {
  for tool in iptables ip6tables; do
    has $tool-save || continue
    rules=$(by $tool-save 2> /dev/null)
    rest=$(printf '%s\n' "$rules" | rules_of_others)
    [ "$rest" = "$rules" ] || printf '%s\n' "$rest" | by $tool-restore
  done
  has nft || return
  by nft list tables | while read -r _ family name; do
    grep -q -x -F "table $family $name" "$record" && continue
    case $name in kube-proxy | flannel-ipv4 | flannel-ipv6) by nft delete table "$family" "$name"; continue ;; esac
    # A table that the cluster made goes when no rule is left in it.
    if ! by nft list table "$family" "$name" 2> /dev/null | grep -q -v -E '^table |^[[:space:]]*(chain .*\{|type .*hook .*policy accept;.*|\})?$'; then
      by nft delete table "$family" "$name"
    fi
  done
}

# --- units and settings -------------------------------------------------------------------------------------------------
# restore_units: what was enabled or ran before does so again.
restore_units() {
  sed -n 's/^unit //p' "$record" | while read -r unit states; do
    case $states in *enabled*) systemctl enable --quiet "$unit" 2> /dev/null ;; esac
    case $states in *active*) systemctl start "$unit" 2> /dev/null ;; esac
  done
}

restore_sysctls() {
  while read -r what name value; do
    [ "$what" = sysctl ] && [ "$(sysctl -n "$name" 2> /dev/null)" != "$value" ] && sysctl -q -w "$name=$value" 2> /dev/null
  done < "$record"
}

clean_rules_by_container
stop_everything
unmount_all
remove_interfaces
clean_rules
clean_ipvs
restore_files
restore_sysctls
systemctl daemon-reload
if noted /etc/NetworkManager/conf.d/kubernetes.conf; then reload_network_manager; fi
restore_units
systemctl reset-failed kubelet containerd 'cri-containerd-*' 'kubepods*' 2> /dev/null
rm -f "$record"
exit 0
