#!/bin/sh
# snapshot.sh: everything on a host that a cluster could leave behind, as text that can be compared. Run on the host by sh -s. It leaves out
# data that changes by itself: the kernel's file systems, logs of running services, and sudo's timestamps.
set -u
echo "== units"
systemctl list-units --all --plain --no-legend --type=service,socket,timer,path | awk '{print $1, $2, $3, $4}' |
  grep -v -E '^(session-|user@|user-runtime-dir@|systemd-tmpfiles-clean|run-)' | sort
echo "== unit files"
systemctl list-unit-files --no-legend | awk '{print $1, $2}' | sort
echo "== files"
find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /var/tmp -o -path /var/log -o -path /var/cache -o -path /run -o -path /root/.ssh \
  -o -path /var/lib/systemd -o -path /var/lib/private -o -path /var/lib/sudo \) -prune -o ! -type d ! -name .sudo_as_admin_successful -printf '%p %y %m %U:%G %s\n' | sort
find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /var/tmp -o -path /run -o -path /var/lib/systemd -o -path /var/lib/private \) -prune -o -type d -printf '%p d\n' | sort
find /etc /root/.kube /srv /var/lib/sealer -xdev -type f ! -path '/etc/ssh/ssh_host_*' -exec sha256sum {} + 2> /dev/null | sort -k2
find /run -mindepth 1 -maxdepth 1 ! -name 'user' -printf '%p %y\n' | sort
echo "== mounts"
awk '{print $5}' /proc/self/mountinfo | grep -v -E '^/run/(user|credentials)' | sort
echo "== interfaces"
ip -o link | awk '{print $2}' | sort
ip -o addr show scope global | awk '{print $2, $4}' | sort
ip route | sort
echo "== rules"
iptables-save 2> /dev/null | sed '/^#/d; s/ \[[0-9:]*\]$//' # without the chains' counters
ip6tables-save 2> /dev/null | sed '/^#/d; s/ \[[0-9:]*\]$//'
nft list ruleset
echo "== sysctls"
sysctl -a 2> /dev/null | grep -E '^(net\.ipv4\.(ip_forward|conf\.(all|default)\.)|net\.ipv6\.conf\.(all|default)\.forwarding|net\.bridge|net\.netfilter\.nf_conntrack_(max|tcp_timeout))' | sort
