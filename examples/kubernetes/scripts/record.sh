# shellcheck shell=sh
# record.sh: what was on the host before init.sh, one fact a line, and how clean.sh puts it back. Sourced by both, in the rootfs.
#
#   dir PATH          was not there: it is the cluster's
#   empty PATH        was there, and everything in it is the cluster's: it may be a disk of its own
#   mixed PATH        was there with files of others; only a directory of settings has this, and of the other two only the cluster's files go
#   had PATH          was in such a directory
#   shared PATH       was not there: it goes if nothing is in it
#   file PATH         was not there
#   kept PATH COPY    was there with other content, of which COPY is in the record's directory
#   wrote SUM PATH    has had the content with this SHA-256 from the cluster: with another one, somebody changed it
#   unit NAME STATES  the unit was enabled, or active
#   sysctl NAME VALUE had this value
#   table FAMILY NAME the nftables table was there
#   link NAME         the network interface was there
#   ipvs services     there were virtual services of IPVS
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
    elif has_settings "$d"; then
      find "$d" -xdev -mindepth 1 | while IFS= read -r inside; do note "had $inside"; done
      note "mixed $d"
    fi
  done
  note "began dirs"
}

record_shared_dir() {
  noted "began shared" && return
  for d in "$@"; do [ -e "$d" ] || note "shared $d"; done
  note "began shared"
}

# has_settings DIR: administrators put files there, too. Elsewhere are data of the cluster.
has_settings() { case $1 in */etc/* | */opt/* | */usr/libexec/*) ;; *) return 1 ;; esac }

record_units() {
  if noted "began units" || noted "began dirs"; then return; fi # or an earlier version began
  for unit in "$@"; do
    states=
    if systemctl is-enabled --quiet "$unit" 2> /dev/null; then states="$states enabled"; fi
    if systemctl is-active --quiet "$unit"; then states="$states active"; fi
    [ -z "$states" ] || note "unit $unit$states"
  done
  note "began units"
}

sum_of() { set -- "$(sha256sum < "$1")" && echo "${1%% *}"; }

# record_content FILE CONTENT: FILE is about to get the content of the file CONTENT.
record_content() { note "wrote $(sum_of "$2") $1"; }

# changed_since FILE: somebody changed a file since the cluster wrote it. Of files that the cluster did not write itself, that is not known.
changed_since() {
  [ -f "$1" ] && grep -q "^wrote [0-9a-f]* $1\$" "$record" && ! grep -q -x -F "wrote $(sum_of "$1") $1" "$record"
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

# The cluster raises these limits, and leaves those that are higher.
limits="fs.inotify.max_user_instances=8192 fs.inotify.max_user_watches=524288"

# record_settings: what else the cluster changes, which earlier versions did not.
record_settings() {
  noted "began settings" && return
  for limit in $limits; do
    value=$(sysctl -n "${limit%=*}" 2> /dev/null) && note "sysctl ${limit%=*} $value"
  done
  # A kernel that forwards IPv6 takes no routes from router advertisements, unless it is told to.
  for link in $(ip -6 -o route show default proto ra 2> /dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p' | sort -u); do
    value=$(sysctl -n "net/ipv6/conf/$link/accept_ra" 2> /dev/null) && note "sysctl net/ipv6/conf/$link/accept_ra $value"
  done
  note "began settings"
}

# wanted_sysctls: the settings of this host, as in sysctl.conf(5), by what they were before the cluster.
wanted_sysctls() {
  cat etc/sysctl.conf
  for limit in $limits; do
    was=$(sed -n "s/^sysctl ${limit%=*} \([0-9]*\)\$/\1/p" "$record")
    if [ -n "$was" ] && [ "$was" -lt "${limit#*=}" ]; then echo "${limit%=*} = ${limit#*=}"; fi
  done
  case "${HOST_IP:-},${POD_SUBNET:-},${SERVICE_SUBNET:-}" in
    *:*)
      cat etc/sysctl-ipv6.conf
      sed -n 's|^sysctl \(net/ipv6/conf/.*/accept_ra\) 1$|\1 = 2|p' "$record"
      ;;
  esac
}

# record_names: what the cluster makes more of, by name.
record_names() {
  if ! noted "began names"; then
    if command -v nft > /dev/null; then
      nft list tables | while read -r _ family name; do note "table $family $name"; done
    fi
    for link in $made_links; do
      if ip link show "$link" > /dev/null 2>&1; then note "link $link"; fi
    done
    for ns in /run/netns/cni-*; do [ ! -e "$ns" ] || note "netns $ns"; done
    note "began names"
  fi
  # Earlier versions did not note these. By now they may be the cluster's.
  if noted "began links" || [ -e /etc/kubernetes/kubelet.conf ]; then return; fi
  for link in $(links); do note "link $link"; done
  if has_virtual_services; then note "ipvs services"; fi
  note "began links"
}

# The interfaces that network plugins and kube-proxy make.
made_links="cni0 flannel.1 flannel-v6.1 kube-ipvs0 nodelocaldns"

# made_by_plugin LINK: other network plugins give interfaces such names.
made_by_plugin() {
  case $1 in
    cali*[0-9a-f] | vxlan.calico | vxlan-v6.calico | wireguard.cali | wg-v6.cali) ;;
    cilium_host | cilium_net | cilium_vxlan | cilium_geneve | lxc_health) ;;
    antrea-gw0 | antrea-egress0 | kube-bridge | kube-dummy-if | ovn0 | weave) ;;
    *) return 1 ;;
  esac
}

# link_names reads what ip -o link show prints.
link_names() { sed -n 's/^[0-9]*: \([^:@]*\)[:@].*/\1/p'; }

links() { ip -o link show 2> /dev/null | link_names; }

has_virtual_services() { grep -q -E '^(TCP|UDP|SCTP|FWM) ' /proc/net/ip_vs 2> /dev/null; }

# NetworkManager reads its files when it is told to.
reload_network_manager() {
  if systemctl is-active --quiet NetworkManager 2> /dev/null; then systemctl reload NetworkManager || echo "NetworkManager does not reload"; fi
}

# put SOURCE TARGET MODE: one file in its place, at once. It sets changed when it was not there.
put() {
  if cmp -s "$1" "$2"; then return 0; fi
  record_file "$2"
  record_content "$2" "$1"
  mkdir -p "$(dirname "$2")"
  cp "$1" "$2.new"
  chmod "$3" "$2.new"
  mv "$2.new" "$2"
  # shellcheck disable=SC2034 # init.sh asks
  changed=yes
}

# rules_of_others: those of iptables-save that are neither in chains of Kubernetes and network plugins nor lead to them.
rules_of_others() { grep -v -E '^(:|-A )(KUBE|FLANNEL|CNI)-| -[jg] (KUBE|FLANNEL|CNI)-'; }

# --- putting it back ---------------------------------------------------------------------------------------------------
restore_files() {
  while read -r what name rest; do
    case $what in
      file) if changed_since "$name"; then left "$name"; else rm -f "$name" "$name.new"; fi ;;
      kept) restore_kept "$name" "$rest" ;;
      dir) has_settings "$name" || rm -rf --one-file-system "$name" ;;
      empty) has_settings "$name" || content "$name" | while IFS= read -r inside; do rm -rf --one-file-system "$inside"; done ;;
    esac
  done < "$record"
  while read -r what name; do
    case $what in dir | empty | mixed) if has_settings "$name"; then clean_settings "$what" "$name"; fi ;; esac
  done < "$record"
  sed -n 's/^shared //p' "$record" | while read -r name; do rmdir "$name" 2> /dev/null; done
}

left() { echo "left: $1, changed since the cluster wrote it: remove by hand what you do not need"; }

# restore_kept FILE COPY: what was there before replaces the cluster's file, or is put next to it where others changed that.
restore_kept() {
  rm -f "$1.new"
  if ! changed_since "$1"; then
    cp -p "$record_in/$2" "$1"
  elif [ "$(sum_of "$1")" != "$(sum_of "$record_in/$2")" ]; then
    cp -p "$record_in/$2" "$1.before-kubefile"
    left "$1"
  fi
}

# clean_settings dir|empty|mixed DIR: files that are as the runner wrote them, and those that Kubernetes makes, go. The others stay: those that
# the runner wrote its agent removes or names.
clean_settings() {
  [ -d "$2" ] || return
  find "$2" -xdev -mindepth 1 ! -type d | while IFS= read -r inside; do
    if was_there "$inside"; then
      :
    elif made_by_kubernetes "${2##*/}/${inside#"$2"/}" || grep -q "sha256:$(sum_of "$inside")" "$record_in/created.json"; then
      rm -f "$inside"
    elif [ "$1" != mixed ] && ! changed_since "$inside" && ! grep -q -F "\"$inside\"" "$record_in/created.json"; then
      echo "left: $inside, not created by the cluster: remove it by hand if you do not need it"
    fi
  done
  find "$2" -xdev -depth -mindepth 1 -type d | while IFS= read -r inside; do was_there "$inside" || rmdir "$inside" 2> /dev/null; done
  [ "$1" != dir ] || rmdir "$2" 2> /dev/null
}

was_there() { grep -q -x -F "had $1" "$record"; }

# made_by_kubernetes FILE: kubeadm or a network plugin makes a file of this name; FILE begins with the name of the directory of settings.
made_by_kubernetes() {
  case $1 in
    kubernetes/admin.conf | kubernetes/super-admin.conf | kubernetes/kubelet.conf | kubernetes/bootstrap-kubelet.conf) ;;
    kubernetes/controller-manager.conf | kubernetes/scheduler.conf | kubernetes/tmp/kubeadm-*) ;;
    kubernetes/manifests/etcd.yaml | kubernetes/manifests/kube-apiserver.yaml) ;;
    kubernetes/manifests/kube-controller-manager.yaml | kubernetes/manifests/kube-scheduler.yaml) ;;
    kubernetes/pki/ca.??? | kubernetes/pki/apiserver.??? | kubernetes/pki/apiserver-etcd-client.???) ;;
    kubernetes/pki/apiserver-kubelet-client.??? | kubernetes/pki/front-proxy-ca.??? | kubernetes/pki/front-proxy-client.???) ;;
    kubernetes/pki/sa.??? | kubernetes/pki/etcd/ca.??? | kubernetes/pki/etcd/server.??? | kubernetes/pki/etcd/peer.???) ;;
    kubernetes/pki/etcd/healthcheck-client.???) ;;
    cni/net.d/multus.d/* | cni/net.d/whereabouts.d/*) ;;
    cni/net.d/*/* | cni/bin/*/*) return 1 ;;
    cni/net.d/*calico* | cni/net.d/*canal* | cni/net.d/*cilium* | cni/net.d/*flannel* | cni/net.d/*antrea* | cni/net.d/*weave*) ;;
    cni/net.d/*kube-router* | cni/net.d/*kube-ovn* | cni/net.d/*kindnet* | cni/net.d/*multus*) ;;
    cni/bin/calico | cni/bin/calico-ipam | cni/bin/install | cni/bin/cilium-cni | cni/bin/flannel | cni/bin/antrea | cni/bin/weave-*) ;;
    cni/bin/kube-ovn | cni/bin/multus | cni/bin/multus-shim | cni/bin/whereabouts) ;;
    *) return 1 ;;
  esac
}
