# shellcheck shell=sh
# record.sh: what was on the host before init.sh, one fact a line, for clean.sh. Sourced by both, in the rootfs.
#
#   dir PATH          was not there: it is the cluster's
#   empty PATH        was there, and everything in it is the cluster's: it may be a disk of its own
#   shared PATH       was not there: it goes if nothing is in it
#   file PATH         was not there
#   kept PATH COPY    was there with other content, of which COPY is in the record's directory
#   sysctl NAME VALUE had this value
#   table FAMILY NAME the nftables table was there
#   link NAME         the network interface was there
#   netns NAME        the network namespace was there
#   began WHAT        this part of the record is complete
record_in=$(cd .. && pwd)
record=$record_in/init-record

start_record() { [ -f "$record" ] || : > "$record"; }

note() { grep -q -x -F "$*" "$record" || echo "$*" >> "$record"; }

# Facts are taken once, before the first change of the first run: a second run finds what the first one made.
noted() { grep -q -F "$1" "$record"; }

record_dir() {
  noted "began dirs" && return
  for d in "$@"; do
    if [ ! -e "$d" ]; then
      note "dir $d"
    elif [ -z "$(content "$d")" ]; then
      note "empty $d"
    fi
  done
  note "began dirs"
}

record_shared_dir() {
  noted "began shared" && return
  for d in "$@"; do [ -e "$d" ] || note "shared $d"; done
  note "began shared"
}

# content DIR: what is in a directory, but for what every file system has.
content() { find "$1" -xdev -mindepth 1 -maxdepth 1 ! -name lost+found; }

record_file() {
  for f in "$@"; do
    if grep -q -x -F "file $f" "$record" || noted "kept $f "; then continue; fi
    if [ -e "$f" ]; then
      copy=previous-$(grep -c '^kept ' "$record" || :)
      cp -p "$f" "$record_in/$copy"
      note "kept $f $copy"
    else
      note "file $f"
    fi
  done
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

# record_names: what the cluster makes more of, by name.
record_names() {
  noted "began names" && return
  if command -v nft > /dev/null; then
    nft list tables | while read -r _ family name; do note "table $family $name"; done
  fi
  for link in $made_links; do
    if ip link show "$link" > /dev/null 2>&1; then note "link $link"; fi
  done
  for ns in /run/netns/cni-*; do [ ! -e "$ns" ] || note "netns $ns"; done
  note "began names"
}

# The interfaces that network plugins and kube-proxy make.
made_links="cni0 flannel.1 flannel-v6.1 kube-ipvs0 nodelocaldns"
