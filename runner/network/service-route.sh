#!/bin/sh
# service-route.sh replace|delete [ADDRESS NETWORK]...: routes to the services' networks, through the interface that has the address.
# Packets to services are rewritten after they have been routed, so on a host without a default route they would go nowhere.
set -eu
action=$1
shift

# Where nothing on the host waits for the network, a boot comes here before an address is there, or while IPv6 still looks for duplicates of it.
seconds=60

interface() { ip -o addr show to "$1" | awk 'NR == 1 { print $2 }'; }

# A route of the site's own is better: a larger metric is less preferred.
replace() {
  link=$(interface "$1")
  if [ -z "$link" ]; then
    echo "no interface has the address $1" >&2
    return 1
  fi
  ip route replace "$2" dev "$link" src "$1" metric 4096
}

delete() {
  link=$(interface "$1")
  [ -z "$link" ] || ip route delete "$2" dev "$link" metric 4096 2> /dev/null || :
}

while [ $# -gt 1 ]; do
  until why=$("$action" "$1" "$2" 2>&1); do
    if [ "$seconds" -eq 0 ]; then
      echo "$why" >&2
      exit 1
    fi
    seconds=$((seconds - 1))
    sleep 1
  done
  shift 2
done
