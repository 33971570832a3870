#!/bin/bash
# IPv4 and IPv6 addresses and default routes
conflicts() { echo ipv6-only; }
on_network() { add_ipv6 "$1" "$2"; }
