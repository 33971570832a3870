#!/bin/sh
# pre-check.sh: what has to be right before anything is installed. All that is wrong is said at once.
set -u
wrong=0
complain() {
  echo "$1" >&2
  wrong=1
}

[ "$(id -u)" = 0 ] || complain "not root"
# iptables and conntrack are in the images that use them, since Kubernetes 1.33 and 1.32.
for name in mount umount ip modprobe sysctl systemctl; do
  command -v "$name" > /dev/null || complain "the command $name is missing: install the package that has it"
done
if [ "$(wc -l < /proc/swaps)" -gt 1 ]; then
  complain "swap is on, and the kubelet refuses to start: swapoff -a, and remove it from /etc/fstab"
fi
for unit in docker.service crio.service; do
  if systemctl is-active --quiet "$unit" 2> /dev/null; then
    complain "$unit runs here: another container runtime's rules and interfaces would mix with the cluster's; stop and disable it"
  fi
done
# Not on the cluster's own hosts, where init.sh has installed them.
if [ ! -e ../init-record ]; then
  for unit in containerd.service kubelet.service; do
    if systemctl cat "$unit" > /dev/null 2>&1; then
      complain "$unit is installed here: the image brings its own; remove the package that has it"
    fi
  done
fi
exit $wrong
