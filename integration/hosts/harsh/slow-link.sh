#!/bin/bash
# 20 Mbit/s in both directions
: "${lab:?}"
on_network() {
  tc -n "$lab-lan" qdisc add dev "v$2" root tbf rate 20mbit burst 64kb latency 200ms
  tc -n "$1" qdisc add dev eth0 root tbf rate 20mbit burst 64kb latency 200ms
}
