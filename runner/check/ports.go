package check

import (
	"net/netip"
	"slices"
)

// NodePorts are those of the documentation of Kubernetes ("Ports and Protocols"), and what kubeadm checks. Nodes have a load balancer at
// 6443, and an etcd on a node is not ours.
func NodePorts() []uint16 { return []uint16{6443, 10248, 10250, 2379, 2380} }

// MasterPorts are those that only a master has, besides those of nodes.
func MasterPorts() []uint16 { return []uint16{2381, 10257, 10259} }

// KubeProxyPorts are those of the metrics and the health of kube-proxy.
func KubeProxyPorts() []uint16 { return []uint16{10249, 10256} }

// KubernetesPorts are the ports of a host that Kubernetes listens on.
func KubernetesPorts() []uint16 { return slices.Concat(NodePorts(), MasterPorts(), KubeProxyPorts()) }

// KubeletPort is where masters ask the kubelet of a node.
const KubeletPort = 10250

// maxTested is up to how many nodes all masters test; of more each is tested by one master.
const maxTested = 16

// Targets are the ports that one host, by its index, has to reach on others. Nodes do not test one another, so that their number is
// bounded by the number of hosts.
func Targets(s *Site, from int) (targets []netip.AddrPort) {
	var masters, nodes []int
	for i, h := range s.Hosts {
		switch {
		case h.Facts == nil:
		case h.IsMaster():
			masters = append(masters, i)
		default:
			nodes = append(nodes, i)
		}
	}
	add := func(to int, ports ...uint16) {
		if a := s.Hosts[to].Host.Address; to != from && a.Is4() == s.Hosts[from].Host.Address.Is4() {
			for _, port := range ports {
				targets = append(targets, netip.AddrPortFrom(a, port))
			}
		}
	}
	own := slices.Index(masters, from)
	for _, to := range masters {
		if own < 0 {
			add(to, 6443, s.RegistryPort)
		} else {
			add(to, 6443, s.RegistryPort, 2379, 2380, KubeletPort)
		}
	}
	for n, to := range nodes {
		if own >= 0 && (len(nodes) <= maxTested || n%len(masters) == own) {
			add(to, KubeletPort)
		}
	}
	return targets
}
