#!/bin/bash
# the default route is on a second network card, whose network other hosts do not have
: "${lab:?}"
on_network() {
  bridge br1 10.78.0.1/24 fd78::1/64
  wire "$2" br1 "w$2" eth1
  if ! has "$2" ipv6-only; then
    ip -n "$1" addr add "10.78.0.$((10 + $2))/24" dev eth1
    has "$2" no-default-route || ip -n "$1" route replace default via 10.78.0.1
  fi
  if has "$2" ipv6-only || has "$2" dual-stack; then
    ip -n "$1" addr add "fd78::$((10 + $2))/64" dev eth1 nodad
    has "$2" no-default-route || ip -n "$1" -6 route replace default via fd78::1
  fi
}
