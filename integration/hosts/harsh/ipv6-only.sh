#!/bin/bash
# IPv6 addresses only, but for 127.0.0.1
conflicts() { echo dual-stack; }
on_network() {
  ip -n "$1" -4 addr flush dev eth0
  add_ipv6 "$1" "$2"
}
on_disk() { [ ! -s "$1/etc/resolv.conf" ] || sed -i 's/10\.77\.0\.1$/fd77::1/' "$1/etc/resolv.conf"; }
