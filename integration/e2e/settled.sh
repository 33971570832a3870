#!/bin/sh
# settled.sh DIRECTORY: what a bring-up leaves on a host and in its cluster, as text that is the same for every bring-up of one image on the
# same hosts. Run on the host by sh -s. It leaves out what differs each time: keys, certificates, addresses of pods, and data of containers.
set -u
dir=$1
kubectl="env KUBECACHEDIR=/tmp/kubectl-cache kubectl --kubeconfig /etc/kubernetes/admin.conf"
echo "== units"
systemctl list-unit-files --no-legend --type=service,socket,timer,path | awk '{print $1, $2}' | sort
systemctl list-units --all --plain --no-legend --type=service 'kube*' 'containerd*' | awk '{print $1, $2, $3, $4}' | sort
echo "== files"
find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /var/tmp -o -path /var/log -o -path /var/cache -o -path /run -o -path /root/.ssh \
  -o -path /var/lib/systemd -o -path /var/lib/private -o -path /var/lib/sudo -o -path /var/lib/containerd -o -path /var/lib/etcd -o -path /var/lib/kubelet \
  -o -path /var/lib/cni -o -path "$dir/records" -o -path "$dir/kubectl-cache" \) -prune -o ! -type d -printf '%p %y %m %U:%G %s\n' |
  awk -v dir="$dir/" 'index($1, "/etc/kubernetes/") == 1 || index($1, dir "pki/") == 1 || (index($1, dir) == 1 && $1 ~ /\.(json|done|yaml)$/) || $1 ~ /^\/root\/\.kube\// { $5 = "" }
    { print }' | sort
echo "== content"
find /etc -xdev -type f ! -path '/etc/ssh/ssh_host_*' ! -path '/etc/machine-id' ! -path '/etc/kubernetes/pki/*' ! -path '/etc/kubernetes/*.conf' -exec sha256sum {} + | sort -k2
find "$dir" -maxdepth 1 -type f \( -name registry.json -o -name apiserver.json -o -name resolv.conf \) -exec sha256sum {} + | sort -k2
sha256sum /var/lib/kubelet/config.yaml
echo "== interfaces and settings"
ip -o link | awk -F '[ @]+' '{print $2}' | grep -v ^veth | sort
sysctl -a 2> /dev/null | grep -E '^(net\.ipv4\.(ip_forward|conf\.(all|default)\.)|net\.ipv6\.conf\.(all|default)\.forwarding|net\.bridge)' | sort
[ -e /etc/kubernetes/admin.conf ] || exit 0
echo "== cluster"
$kubectl get nodes -o jsonpath='{range .items[*]}{.metadata.name} {.status.nodeInfo.kubeletVersion} {.status.addresses[*].address} {.metadata.labels} {.spec.taints} {.spec.unschedulable} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}'
$kubectl get namespaces,deployments,daemonsets,statefulsets,services,configmaps,secrets,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings -A --no-headers \
  -o custom-columns=KIND:.kind,NAMESPACE:.metadata.namespace,NAME:.metadata.name | grep -v -e ' bootstrap-token-' -e ' kubeadm-certs$' | sort
$kubectl -n kube-system get configmaps kubeadm-config kubelet-config kube-proxy -o jsonpath='{.items[*].data}' | sha256sum
$kubectl -n kube-system get pods -l tier=control-plane -o name | sort
crictl exec "$(crictl ps -q --name etcd)" etcdctl --cacert /etc/kubernetes/pki/etcd/ca.crt --cert /etc/kubernetes/pki/etcd/server.crt \
  --key /etc/kubernetes/pki/etcd/server.key member list | cut -d , -f 2- | sort
