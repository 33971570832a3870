package network

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/kubefile/kubefile/runner/check"
	"github.com/kubefile/kubefile/runner/host"
)

func networks() []check.Check {
	return []check.Check{
		{ID: "default-route", Severity: check.Warning, Title: "The host has a default route", Host: defaultRoute},
		{ID: "resolv-conf", Severity: check.Warning, Title: "The host has a resolv.conf", Host: resolvConf},
		{ID: "nameserver", Severity: check.Warning, Title: "The host has a nameserver that pods can ask", Host: nameserver},
		{ID: "host-in-cluster-network", Severity: check.Error, Title: "No host has its address in the networks of pods or services", Host: hostInNetwork},
		{ID: "network-overlap", Severity: check.Warning, Title: "No route of a host overlaps with the networks of pods or services", Host: overlap},
		{ID: "nameserver-in-cluster-network", Severity: check.Warning, Title: "No nameserver is in the networks of pods or services", Host: nameserverInNetwork},
		{ID: "address-family", Severity: check.Warning, Title: "Every host has an address of each family of the cluster", Host: family},
		{ID: "interface-choice", Severity: check.Warning, Title: "The default route is on the interface with the host's address", Host: interfaceChoice},
		{ID: "hosts-file-address", Severity: check.Warning, Title: "/etc/hosts has no other address for the host's name", Host: hostsFile},
	}
}

// defaultRoute wants a route with an interface: a black hole does not make service addresses reachable.
func defaultRoute(h check.Host, _ *check.Site, report func(what, fix string)) {
	four := h.Host.Address.Is4()
	if h.Facts.Knows(host.TopicRoutes) && len(h.Facts.DefaultRoutes(four)) == 0 {
		report("it has no default route: network plugins that look for one do not start, and services are reached only by a route to their network",
			"add one: ip route add default via GATEWAY; without a gateway: ip route add default dev INTERFACE; and make it permanent")
	}
}

func resolvConf(h check.Host, _ *check.Site, report func(what, fix string)) {
	if h.Facts.Knows(host.TopicResolvConf) && h.Facts.ResolvConf == "" {
		report("it has no /etc/resolv.conf: the kubelet starts no pod unless it is given another file", "write one with a nameserver, even if that never answers")
	}
}

func nameserver(h check.Host, _ *check.Site, report func(what, fix string)) {
	const fix = "add one that is not on loopback, even if it never answers"
	loopback := 0
	for _, text := range h.Facts.Nameservers() {
		if address, err := netip.ParseAddr(text); err == nil && address.IsLoopback() {
			loopback++
		}
	}
	switch {
	case h.Facts.ResolvConf == "" || !h.Facts.Knows(host.TopicNameservers):
	case len(h.Facts.Nameservers()) == 0:
		report(h.Facts.ResolvConf+" has no nameserver: CoreDNS does not start unless the kubelet is given another file", fix)
	case loopback > 0:
		report(h.Facts.ResolvConf+" has a nameserver on loopback: CoreDNS asks itself, and ends, unless the kubelet is given another file", fix)
	}
}

func hostInNetwork(h check.Host, s *check.Site, report func(what, fix string)) {
	for _, n := range s.ClusterNetworks() {
		if n.Contains(h.Host.Address) {
			report(fmt.Sprintf("its address is in %s, a network of the cluster", n), "choose another podSubnet or serviceSubnet (ClusterConfiguration.networking)")
		}
	}
}

// overlap leaves out what a cluster of ours sets: routes of the network plugin, and the one to the services that a host without a default
// route has before the cluster ever comes up.
func overlap(h check.Host, s *check.Site, report func(what, fix string)) {
	var seen []string
	for _, r := range h.Facts.Routes {
		own := h.Ours && check.IsOwn(r.Interface) || h.Facts.SetByUs(r) && serves(s, r.Destination)
		if own || r.Destination.Bits() == 0 {
			continue
		}
		for _, n := range s.ClusterNetworks() {
			text := fmt.Sprintf("its route to %s (%s) overlaps with %s, a network of the cluster: what is behind it is no longer reached, or pods and services are not",
				r.Destination, r.Interface, n)
			if n.Overlaps(r.Destination) && !slices.Contains(seen, text) && len(seen) < check.Listed {
				seen = append(seen, text)
				report(text, "choose another podSubnet or serviceSubnet (ClusterConfiguration.networking), or remove the route")
			}
		}
	}
}

// serves reports whether a network is one of the services.
func serves(s *check.Site, network netip.Prefix) bool {
	return slices.ContainsFunc(s.ServiceNetworks, func(n netip.Prefix) bool { return n.Masked() == network })
}

func nameserverInNetwork(h check.Host, s *check.Site, report func(what, fix string)) {
	for _, text := range h.Facts.Nameservers() {
		address, err := netip.ParseAddr(text)
		for _, n := range s.ClusterNetworks() {
			if err == nil && n.Contains(address) {
				report(fmt.Sprintf("its nameserver %s is in %s, a network of the cluster, and is no longer reached", address, n),
					"choose another podSubnet or serviceSubnet (ClusterConfiguration.networking)")
			}
		}
	}
}

func family(h check.Host, s *check.Site, report func(what, fix string)) {
	for _, four := range []bool{true, false} {
		wanted := slices.ContainsFunc(s.ClusterNetworks(), func(n netip.Prefix) bool { return n.Addr().Is4() == four })
		if wanted && h.Facts.Knows(host.TopicAddresses) && len(h.Facts.Networks) > 0 && len(check.Interfaces(h, four)) == 0 {
			report(fmt.Sprintf("it has no %s address, and the cluster has networks of that family: pods on it get none, and the network plugin may not start", familyName(four)),
				"give it one, or remove those networks from podSubnet and serviceSubnet")
		}
	}
}

func familyName(four bool) string {
	if four {
		return "IPv4"
	}
	return "IPv6"
}

// interfaceChoice: flannel and other plugins take the interface of the default route for what pods send to other hosts.
func interfaceChoice(h check.Host, _ *check.Site, report func(what, fix string)) {
	address := h.Host.Address
	i := slices.IndexFunc(h.Facts.Networks, func(n host.NetworkAddress) bool { return n.Prefix.Addr() == address })
	routes := h.Facts.DefaultRoutes(address.Is4())
	if i < 0 || len(routes) == 0 || slices.Contains(routes, h.Facts.Networks[i].Interface) {
		return
	}
	report(fmt.Sprintf("its address is on %s and its default route on %s: flannel and other network plugins send packets of pods by the latter, and other hosts may not be there",
		h.Facts.Networks[i].Interface, check.List(routes)), "give the addresses of the network with the default route, or configure the network plugin's interface (flannel: --iface)")
}

func hostsFile(h check.Host, _ *check.Site, report func(what, fix string)) {
	for _, address := range h.Facts.HostsFile {
		if address != h.Host.Address && !address.IsLoopback() && address.Is4() == h.Host.Address.Is4() {
			report(fmt.Sprintf("/etc/hosts has %s for its name: a kubelet without a node-ip registers with that address", address),
				"write "+h.Host.Address.String()+" there")
			return
		}
	}
}
