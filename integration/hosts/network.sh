#!/bin/bash
# network.sh: a bridge inside a namespace of its own, the delivery machine's. Nothing reaches the machine's network. Sourced by hosts.sh.

: "${lab:?}"

# Whatever an interrupt left half made is made again.
delivery_machine() {
  local lan=$lab-lan
  ip -n "$lan" link set lo up 2> /dev/null || { remove_namespace "$lan"; ip netns add "$lan"; ip -n "$lan" link set lo up; }
  bridge br0 10.77.0.1/24 fd77::1/64
}

remove_namespace() { [ ! -e "/run/netns/$1" ] || ip netns del "$1"; }

# is_up NAMESPACE LINK
is_up() { [ -n "$(ip -n "$1" link show "$2" up 2> /dev/null)" ]; }

# bridge NAME ADDRESS ADDRESS6
bridge() {
  ! is_up "$lab-lan" "$1" || return 0
  ip -n "$lab-lan" link del "$1" 2> /dev/null || true
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
  ! is_up "$n" lo || return 0
  remove_network "$i"
  ip netns add "$n"
  wire "$i" br0 "v$i" eth0
  ip -n "$n" addr add "$(address4 "$i")/24" dev eth0
  # kubeadm and the kubelet take the node's address from the default route's interface; 10.77.0.1 forwards nothing
  ip -n "$n" route add default via 10.77.0.1
  apply_properties on_network "$n" "$i"
  ip -n "$n" link set lo up # the last: the network is complete
}

# The links go at once: with their namespace they would go some time later, and block the names.
remove_network() {
  local port
  for port in $(ip -n "$lab-lan" -o link show type veth 2> /dev/null | sed -n "s/^[0-9]*: \([vw]$1\)@.*/\1/p"); do
    ip -n "$lab-lan" link del "$port"
  done
  remove_namespace "$lab-h$1"
}

remove_all_networks() {
  local n
  for n in $(ip netns list | awk -v lab="$lab-" 'index($1, lab) == 1 {print $1}'); do ip netns del "$n"; done
}
