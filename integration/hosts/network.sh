#!/bin/bash
# network.sh: a bridge inside a namespace of its own, the delivery machine's. Nothing reaches the machine's network. Sourced by hosts.sh.

: "${lab:?}"

delivery_machine() {
  local lan=$lab-lan
  [ ! -e "/run/netns/$lan" ] || return 0
  ip netns add "$lan"
  ip -n "$lan" link set lo up
  bridge br0 10.77.0.1/24 fd77::1/64
}

# bridge NAME ADDRESS ADDRESS6
bridge() {
  ip -n "$lab-lan" link add "$1" type bridge
  ip -n "$lab-lan" addr add "$2" dev "$1"
  ip -n "$lab-lan" addr add "$3" dev "$1" nodad
  ip -n "$lab-lan" link set "$1" up
}

# wire I BRIDGE PORT INTERFACE connects host I with a bridge. The hardware address stays the same when the host is reinstalled: the other
# hosts would send to the old one for a minute.
wire() {
  local mac
  mac=$(printf '02:77:00:00:%02x:%02x' "${4#eth}" "$1")
  ip -n "$lab-lan" link add "$3" type veth peer name "$4" address "$mac" netns "$lab-h$1"
  ip -n "$lab-lan" link set "$3" master "$2" up
  ip -n "$lab-h$1" link set "$4" up
}

add_ipv6() {
  ip -n "$1" addr add "$(address6 "$2")/64" dev eth0 nodad
  ip -n "$1" -6 route add default via fd77::1
}

network() {
  local i=$1 n=$lab-h$1
  delivery_machine
  [ ! -e "/run/netns/$n" ] || return 0
  ip netns add "$n"
  ip -n "$n" link set lo up
  wire "$i" br0 "v$i" eth0
  ip -n "$n" addr add "$(address4 "$i")/24" dev eth0
  # kubeadm and the kubelet take the node's address from the default route's interface; 10.77.0.1 forwards nothing
  ip -n "$n" route add default via 10.77.0.1
  apply_properties on_network "$n" "$i"
}

# The links go at once: with their namespace they would go some time later, and block the names.
remove_network() {
  local port
  for port in $(ip -n "$lab-lan" -o link show type veth | sed -n "s/^[0-9]*: \([vw]$1\)@.*/\1/p"); do
    ip -n "$lab-lan" link del "$port"
  done
  ip netns del "$lab-h$1"
}

remove_all_networks() {
  local n
  for n in $(ip netns list | awk -v lab="$lab-" 'index($1, lab) == 1 {print $1}'); do ip netns del "$n"; done
}
