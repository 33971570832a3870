#!/bin/sh
# start.sh server     runs the Redis of this pod: the sentinels say whether it is the primary, or whom it follows
# start.sh sentinel   runs the sentinel beside it
# start.sh check      says whether Redis serves what the primary has
# start.sh primary    prints who the primary is
set -eu
umask 077
domain=$(sed -n 's/^search .*\.svc\.\([^ ]*\).*/\1/p' /etc/resolv.conf)
sentinel_port=26379
others= # pods
i=0
while [ "$i" -lt "$PODS" ]; do
  [ "redis-$i" = "$POD_NAME" ] || others="$others redis-$i"
  i=$((i + 1))
done

name() { echo "$1.redis.$POD_NAMESPACE.svc.$domain"; }

# What the first sentinel that knows says of the primary: those of the other pods, then those of the pods that are named.
ask() {
  for pod in $others "$@"; do
    primary=$(timeout 3 redis-cli -h "$(name "$pod")" -p $sentinel_port sentinel get-master-addr-by-name main 2> /dev/null | head -n 1)
    case $primary in redis-*) echo "$primary"; return ;; esac
  done
}

# Whether this pod is the first, and there is no other: their names have no addresses. A name server that is silent says nothing.
alone() {
  [ "$POD_NAME" = redis-0 ] || return 1
  for pod in $others; do
    case $(timeout 3 redis-cli -h "$(name "$pod")." ping 2>&1) in *'Name or service not known'*) ;; *) return 1 ;; esac
  done
}

password() { # SETTING...: nothing without a password
  [ -n "${REDISCLI_AUTH:-}" ] || return 0
  for setting in "$@"; do
    printf '%s "%s"\n' "$setting" "$(printf %s "$REDISCLI_AUTH" | sed 's/[\\"]/\\&/g')"
  done
}

server() { # the primary that it follows; none for the primary itself
  {
    cat << SETTINGS
dir /data
appendonly yes
protected-mode no
maxmemory $MAXMEMORY
replica-announce-ip $(name "$POD_NAME")
SETTINGS
    password requirepass masterauth
    [ "$PODS" = 1 ] || echo 'min-replicas-to-write 1' # what nobody has a copy of would be lost with the primary
    [ -z "$1" ] || echo "replicaof $1 6379"
  } > /data/redis.conf
  exec redis-server /data/redis.conf
}

# A pod that has lost its data does not come back as the primary, for the others would copy nothing: it waits until they have another.
run_server() {
  while true; do
    if [ -d /data/appendonlydir ]; then
      primary=$(ask "$POD_NAME")
      [ "$primary" != "$(name "$POD_NAME")" ] || server ''
    else
      primary=$(ask)
      [ -n "$primary" ] || ! alone || server ''
    fi
    case $primary in
      '' | "$(name "$POD_NAME")") sleep 1 ;;
      *) server "$primary" ;;
    esac
  done
}

run_sentinel() {
  conf=/data/sentinel.conf # it writes there what it learns
  while [ ! -s $conf ]; do
    primary=$(ask)
    [ -n "$primary" ] || ! alone || primary=$(name "$POD_NAME")
    [ -n "$primary" ] || { sleep 1; continue; }
    {
      cat << SETTINGS
dir /data
port $sentinel_port
protected-mode no
sentinel myid $(echo "$POD_NAME" | sha1sum | cut -c 1-40)
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel announce-ip $(name "$POD_NAME")
sentinel monitor main $primary 6379 $((PODS / 2 + 1))
sentinel down-after-milliseconds main 5000
sentinel failover-timeout main 10000
SETTINGS
    } > $conf.new
    mv $conf.new $conf
  done
  { # the password anew: what it writes itself it cannot read in every case
    grep -vE '^requirepass |sentinel auth-pass ' $conf
    password requirepass 'sentinel auth-pass main'
  } > $conf.new
  mv $conf.new $conf
  exec redis-server $conf --sentinel
}

case $1 in
  server) run_server ;;
  sentinel) run_sentinel ;;
  primary) ask "$POD_NAME" ;;
  check) case $(redis-cli info replication) in *role:master* | *master_link_status:up*) ;; *) exit 1 ;; esac ;;
esac
