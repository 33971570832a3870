# shellcheck shell=sh
# record.sh: what was on the host before init.sh, one fact a line, for clean.sh. Sourced by both, in the rootfs.
#
#   dir PATH          was not there: everything in it is the cluster's
#   file PATH         was not there
#   kept PATH COPY    was there with other content, of which COPY is in the record's directory
#   sysctl NAME VALUE had this value
#   table FAMILY NAME the nftables table was there
#   began             the record is complete up to the first change
record_in=$(cd .. && pwd)
record=$record_in/init-record

start_record() { [ -f "$record" ] || : > "$record"; }

note() { grep -q -x -F "$*" "$record" || echo "$*" >> "$record"; }

# Facts are taken once, before the first change of the first run: a second run finds what the first one made.
noted() { grep -q -F "$1" "$record"; }

record_dir() {
  noted "began dirs" && return
  for d in "$@"; do [ -e "$d" ] || note "dir $d"; done
  note "began dirs"
}

record_file() {
  grep -q -x -F "file $1" "$record" && return
  grep -q -F "kept $1 " "$record" && return
  if [ -e "$1" ]; then
    copy=previous-$(grep -c '^kept ' "$record" || :)
    cp -p "$1" "$record_in/$copy"
    note "kept $1 $copy"
  else
    note "file $1"
  fi
}

# Forwarding and conntrack settings that kube-proxy, the kubelet and the network plugin change too.
record_sysctls() {
  noted "began sysctls" && return
  for name in net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables net.bridge.bridge-nf-call-ip6tables net.ipv4.conf.all.route_localnet \
    net.netfilter.nf_conntrack_tcp_timeout_established net.netfilter.nf_conntrack_tcp_timeout_close_wait net.ipv4.conf.all.forwarding \
    net.ipv4.conf.default.forwarding net.ipv6.conf.all.forwarding net.ipv6.conf.default.forwarding vm.overcommit_memory kernel.panic kernel.panic_on_oops; do
    value=$(sysctl -n "$name" 2> /dev/null) && note "sysctl $name $value"
  done
  note "began sysctls"
}

record_tables() {
  noted "began tables" && return
  if command -v nft > /dev/null; then
    nft list tables | while read -r _ family name; do note "table $family $name"; done
  fi
  note "began tables"
}
