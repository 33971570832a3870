package check

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// ClusterNetworks are the networks of pods and services.
func (s *Site) ClusterNetworks() []netip.Prefix {
	return slices.Concat(s.PodNetworks, s.ServiceNetworks)
}

// HasFamily reports whether a network of the cluster is of a family.
func (s *Site) HasFamily(four bool) bool {
	for _, n := range slices.Concat(s.PodNetworks, s.ServiceNetworks) {
		if n.Addr().Is4() == four {
			return true
		}
	}
	for _, h := range s.Hosts {
		if h.Host.Address.Is4() == four {
			return true
		}
	}
	return false
}

// Site is all hosts, and what is to run on them.
type Site struct {
	Hosts        []Host
	Architecture string
	Kubernetes   string // version
	RootfsBytes  uint64 // compressed, for every host
	ImageBytes   uint64 // for the masters
	DataRoot     string
	ClusterDir   string
	RegistryPort uint16

	// Images and Configuration are what a run refuses of the images, and of the site and the cluster that is there.
	Images, Configuration []error

	PodNetworks     []netip.Prefix
	ServiceNetworks []netip.Prefix
	ProxyMode       string // of kube-proxy; none is iptables
	SwapAllowed     bool   // by the kubelet's configuration
	CgroupV1Allowed bool   // likewise, from Kubernetes 1.35 on
}

// Reached are the hosts of which there are facts.
func (s *Site) Reached() []*Host {
	var reached []*Host
	for i := range s.Hosts {
		if s.Hosts[i].Facts != nil {
			reached = append(reached, &s.Hosts[i])
		}
	}
	return reached
}

// Since reports whether the site's Kubernetes is of a minor version of 1, or of a later one. Of an unknown version nothing is demanded.
func (s *Site) Since(minor int) bool {
	var major, have int
	if _, err := fmt.Sscanf(strings.TrimPrefix(s.Kubernetes, "v"), "%d.%d", &major, &have); err != nil {
		return true
	}
	return major > 1 || have >= minor
}
