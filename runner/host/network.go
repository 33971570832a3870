package host

import (
	"net/netip"
	"slices"
	"strings"
)

// DefaultRoutes are the interfaces of default routes of a family. A route that leads nowhere, such as a black hole, is none.
func (f *Facts) DefaultRoutes(four bool) (interfaces []string) {
	for _, r := range f.Routes {
		nowhere := slices.Contains([]string{"blackhole", "unreachable", "prohibit", "throw", "lo"}, r.Interface)
		if r.Destination.Bits() == 0 && r.Destination.Addr().Is4() == four && !nowhere {
			interfaces = append(interfaces, r.Interface)
		}
	}
	return interfaces
}

// Interface returns the interface that has an address; empty when none has.
func (f *Facts) Interface(address netip.Addr) string {
	for _, n := range f.Networks {
		if n.Prefix.Addr() == address {
			return n.Interface
		}
	}
	return ""
}

// Peer returns the address of the other family on the interface that has an address; the zero address when there is none.
func (f *Facts) Peer(address netip.Addr) netip.Addr {
	name := f.Interface(address)
	for _, n := range f.Networks {
		other := n.Prefix.Addr()
		if name != "" && n.Interface == name && !n.Passing && other.Is4() != address.Is4() && other.IsGlobalUnicast() {
			return other
		}
	}
	return netip.Addr{}
}

// Nameservers are those of the kubelet's file, in its order.
func (f *Facts) Nameservers() (servers []string) {
	for _, line := range f.Resolv {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "nameserver" {
			servers = append(servers, fields[1])
		}
	}
	return servers
}

// PodNameservers are those that pods can ask: not those on a loopback address, which in a pod is the pod itself, nor those that only an
// interface of the host reaches.
func (f *Facts) PodNameservers() []string {
	return slices.DeleteFunc(f.Nameservers(), func(server string) bool {
		address, err := netip.ParseAddr(server)
		return err != nil || address.IsLoopback() || address.IsUnspecified() || address.IsLinkLocalUnicast()
	})
}
