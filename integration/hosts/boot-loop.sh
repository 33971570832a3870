#!/usr/bin/env bash
# boot-loop.sh LAB HOST HOSTNAME OUT: one host's machine. With --keep-unit nspawn leaves with 133 when the host reboots.
set -uo pipefail
lab=$1 host=$2 hostname=$3 out=$4
while :; do
  # A boot starts with an empty cgroup tree: what dead pods left behind holds the kubelet up for minutes.
  find /sys/fs/cgroup/*/"$lab/$host" -mindepth 1 -depth -type d -exec rmdir {} \; 2> /dev/null
  systemd-nspawn -q -D "$out/$host" -M "$lab-$host" --hostname="$hostname" --network-namespace-path="/run/netns/$lab-$host" \
    --capability=all --register=no --keep-unit --console=pipe --system-call-filter=@known \
    --resolv-conf=off --timezone=off --link-journal=no --kill-signal=SIGRTMIN+3 \
    --bind=/dev/kmsg --bind=/dev/fuse /usr/local/sbin/lab-init &
  echo $! > "$out/$host.pid"
  wait $!
  rc=$?
  echo "nspawn of $host left with $rc"
  [ $rc = 133 ] || break
done
