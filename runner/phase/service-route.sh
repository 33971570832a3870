#!/bin/sh
# service-route.sh replace|delete [ADDRESS NETWORK]...: routes to the services' networks, through the interface that has the address.
# Packets to services are rewritten after they have been routed, so on a host without a default route they would go nowhere.
set -eu
action=$1
shift
while [ $# -gt 1 ]; do
  address=$1 network=$2
  shift 2
  link=$(ip -o addr show to "$address" | awk 'NR == 1 { print $2 }')
  if [ -z "$link" ]; then
    echo "no interface has the address $address" >&2
    [ "$action" = delete ] || exit 1
  elif [ "$action" = replace ]; then
    # A route of the site's own is better: a larger metric is less preferred.
    ip route replace "$network" dev "$link" src "$address" metric 4096
  else
    ip route delete "$network" dev "$link" metric 4096 2> /dev/null || :
  fi
done
