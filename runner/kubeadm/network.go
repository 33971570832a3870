package kubeadm

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// PodSubnet is the networks of the pods, separated by a comma where there are two; empty if the documents do not say.
func (d Documents) PodSubnet() string { return d.network("podSubnet", "") }

// ServiceSubnet is the networks of the services, by default kubeadm's 10.96.0.0/12.
func (d Documents) ServiceSubnet() string { return d.network("serviceSubnet", "10.96.0.0/12") }

// DNSDomain is the domain of the services, by default kubeadm's cluster.local.
func (d Documents) DNSDomain() string { return d.network("dnsDomain", "cluster.local") }

func (d Documents) network(field, unset string) string {
	if s, _ := d.at(ClusterKind, "networking", field).(string); s != "" {
		return s
	}
	return unset
}

// ServiceAddress is the address of the API's service, which Kubernetes makes the first one of the first network of the services; empty if
// that is no network.
func (d Documents) ServiceAddress() string { return d.serviceAddress(1) }

// ClusterDNS is the address that pods ask: what the kubelet is given, or [Documents.DNSAddress].
func (d Documents) ClusterDNS() string {
	if servers, _ := d.at(KubeletKind, "clusterDNS").([]any); len(servers) > 0 {
		if first, _ := servers[0].(string); first != "" {
			return first
		}
	}
	return d.DNSAddress()
}

// SetsResolvConf reports whether the documents specify the file from which pods have their nameservers, for the kubelets of all hosts.
func (d Documents) SetsResolvConf() bool { return d.at(KubeletKind, "resolvConf") != nil }

// ProxyMode is the mode of kube-proxy; empty if the documents do not say.
func (d Documents) ProxyMode() string {
	mode, _ := d.at(ProxyKind, "mode").(string)
	return mode
}

// SkipsDNS reports whether kubeadm installs no DNS.
func (d Documents) SkipsDNS() bool {
	if d.at(ClusterKind, "dns", "disabled") == true {
		return true
	}
	skipped, _ := d.at(InitKind, "skipPhases").([]any)
	return slices.Contains(skipped, any("addon")) || slices.Contains(skipped, any("addon/coredns"))
}

// DNSAddress is the address of the cluster's DNS as kubeadm chooses it, the tenth of the first network of the services; empty if that is
// no network.
func (d Documents) DNSAddress() string { return d.serviceAddress(10) }

// serviceAddress is the nth address of the first network of the services.
func (d Documents) serviceAddress(n int) string {
	first, _, _ := strings.Cut(d.ServiceSubnet(), ",")
	network, err := netip.ParsePrefix(first)
	if err != nil {
		return ""
	}
	address := network.Masked().Addr()
	for range n {
		address = address.Next()
	}
	if !address.IsValid() { // past the last one
		return ""
	}
	return address.String()
}

// parseSubnet parses one network, or one of IPv4 and one of IPv6, as kubeadm takes them.
func parseSubnet(subnet string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, s := range strings.Split(subnet, ",") {
		network, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("%q is not a network: write one as 10.244.0.0/16, or two as 10.244.0.0/16,fd00:1::/56", s)
		}
		networks = append(networks, network.Masked())
	}
	if len(networks) > 2 || len(networks) == 2 && networks[0].Addr().Is4() == networks[1].Addr().Is4() {
		return nil, fmt.Errorf("%q: there may be one network, or one of IPv4 and one of IPv6", subnet)
	}
	return networks, nil
}

// Prefixes are the networks of a list in a document, without those that cannot be read.
func Prefixes(list string) (parsed []netip.Prefix) {
	for _, text := range strings.Split(list, ",") {
		if p, err := netip.ParsePrefix(strings.TrimSpace(text)); err == nil {
			parsed = append(parsed, p)
		}
	}
	return parsed
}
