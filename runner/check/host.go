package check

import (
	"cmp"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/host"
)

// Running reports whether a unit of the host runs, or is about to.
func Running(h Host, unit string) bool {
	return slices.Contains([]string{"active", "activating", "reloading"}, h.Facts.Units[unit])
}

// IsOwn reports whether an interface is one that network plugins and kube-proxy make.
func IsOwn(name string) bool {
	ownInterfaces := []string{"lo", "cni", "flannel", "cali", "veth", "kube-ipvs", "cilium", "lxc", "tunl", "vxlan.calico", "nodelocaldns"}
	return slices.ContainsFunc(ownInterfaces, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// Interfaces are the interfaces with an address of a family that other hosts may reach.
func Interfaces(h Host, four bool) (names []string) {
	for _, n := range h.Facts.Networks {
		address := n.Prefix.Addr()
		if address.Is4() == four && address.IsGlobalUnicast() && !IsOwn(n.Interface) && !strings.HasPrefix(n.Interface, "docker") && !slices.Contains(names, n.Interface) {
			names = append(names, n.Interface)
		}
	}
	return names
}

// Host is one host as it was found.
type Host struct {
	host.Report
	Name string // of its node; default the host's own name
	// Ours says that the host has files of this cluster, so that what runs there may be the cluster's own.
	Ours bool
	// Begun says that kubeadm was begun there for this cluster.
	Begun bool
	// Foreign is the cluster's directory when it has files that the cluster did not make.
	Foreign string
	Paths   []host.Path // to ports of other hosts
	// TakesPods says that the site removes the taint that keeps pods of applications off this master.
	TakesPods bool
}

// IsMaster reports whether the host is one of the control plane.
func (h Host) IsMaster() bool { return h.Host.Role == host.RoleMaster }

// NodeName is that of the node; empty when it is not known.
func (h Host) NodeName() string { return strings.ToLower(cmp.Or(h.Name, h.Facts.Hostname)) }
