#!/bin/sh
# init.sh: installs container runtime and kubelet on this host, from the rootfs that it is started in. Running it again changes only
# what differs. What was there before is noted in ../init-record, by which clean.sh restores it.
#
#   CONTAINERD_RESTRICT_OOM_SCORE_ADJ=true   for hosts on which not even root may lower oom_score_adj (nested containers)
set -eu
umask 022 # a hardened host's would keep others from reading what they need
# shellcheck source-path=SCRIPTDIR/..
. scripts/record.sh

start_record
record_units containerd kubelet

record_dir /etc/containerd /etc/cni /opt/cni /etc/kubernetes /var/lib/containerd /var/lib/kubelet /var/lib/etcd /var/lib/cni \
  /run/containerd /run/flannel /var/log/pods /var/log/containers /usr/libexec/kubernetes /etc/systemd/system/kubelet.service.d \
  /run/nri /opt/containerd /var/run/kubernetes
record_shared_dir /etc/modules-load.d /run/netns

# Written by flannel's pods.
record_file /etc/cni/net.d/10-flannel.conflist /opt/cni/bin/flannel /run/flannel/subnet.env /run/xtables.lock
record_names

changed=
for file in bin/*; do put "$file" "/usr/local/$file" 755; done
for file in cni/*; do put "$file" "/opt/cni/bin/${file#cni/}" 755; done
put etc/containerd.service /etc/systemd/system/containerd.service 644
put etc/kubelet.service /etc/systemd/system/kubelet.service 644
put etc/10-kubeadm.conf /etc/systemd/system/kubelet.service.d/10-kubeadm.conf 644
put etc/crictl.yaml /etc/crictl.yaml 644
if [ -d /etc/NetworkManager/conf.d ]; then
  put etc/networkmanager.conf /etc/NetworkManager/conf.d/kubernetes.conf 644
fi

case ${CONTAINERD_RESTRICT_OOM_SCORE_ADJ:=false} in
  true | false) ;;
  *) echo "CONTAINERD_RESTRICT_OOM_SCORE_ADJ is neither true nor false" >&2; exit 1 ;;
esac
sed "s/restrict_oom_score_adj = .*/restrict_oom_score_adj = $CONTAINERD_RESTRICT_OOM_SCORE_ADJ/" etc/containerd.toml > ../containerd.toml
put ../containerd.toml /etc/containerd/config.toml 644
rm ../containerd.toml

# Built into some kernels, modules in others; what is in neither shows when it is used.
modules="overlay br_netfilter nf_conntrack"
if [ "${KUBE_PROXY_MODE:-}" = ipvs ]; then modules="$modules ip_vs ip_vs_rr ip_vs_wrr ip_vs_sh"; fi
: > ../modules.conf
for module in $modules; do
  modprobe "$module" 2> /dev/null || echo "modprobe $module failed: taking it for built in"
  echo "$module" >> ../modules.conf
done
put ../modules.conf /etc/modules-load.d/kubernetes.conf 644
rm ../modules.conf

record_sysctls
record_settings
wanted_sysctls > ../sysctl.conf
while read -r name _ value; do
  [ "$(sysctl -n "$name" 2> /dev/null)" = "$value" ] || sysctl -q -w "$name=$value"
done < ../sysctl.conf
put ../sysctl.conf /etc/sysctl.d/99-zz-kubernetes.conf 644 # after 99-sysctl.conf, by which some hosts forbid forwarding
rm ../sysctl.conf

if [ -n "$changed" ]; then
  systemctl daemon-reload
  reload_network_manager
  if systemctl is-active --quiet containerd; then systemctl restart containerd; fi
fi
systemctl enable --quiet containerd kubelet
systemctl start containerd

sync # renamed files may be empty after a power cut
