package execute

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kube"
	"github.com/kubefile/kubefile/runner/report"
)

// LeftOn is what a kubeadm has made on the host.
func (m *Member) LeftOn() []string {
	left := slices.Clone(m.Facts.Cluster)
	if m.IsMaster() && m.Facts.HasData(host.EtcdDir) {
		left = append(left, host.EtcdDir)
	}
	return left
}

// IsEmpty reports whether a host has nothing of a cluster: kubeadm finds it as it finds a new one.
func (m *Member) IsEmpty() bool { return !m.Joined && len(m.LeftOn()) == 0 }

// Owns reports whether a node is this host: it has one of its addresses, or none yet.
func (m *Member) Owns(n *kube.Node) bool {
	internal := n.Addresses()
	return len(internal) == 0 || slices.ContainsFunc(internal, func(a netip.Addr) bool {
		return a == m.Host.Address || slices.Contains(m.Facts.Addresses, a)
	})
}

// ErrForeignNode is the error for a host that is a node of another cluster. It is never reset.
func (m *Member) ErrForeignNode() error {
	return fmt.Errorf("%s is a node of another cluster (API %s, CA %s); leave this host out, or remove it from that cluster first",
		m, report.OrUnknown(m.Facts.Kubelet.Server), report.OrUnknown(m.Authority()))
}
