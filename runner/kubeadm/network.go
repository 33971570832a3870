package kubeadm

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

// Defaults of kubeadm (kubeadm API reference, "Networking").
const (
	defaultServiceSubnet = "10.96.0.0/12"
	defaultDNSDomain     = "cluster.local"
)

// PodSubnet is the network of the pods; empty when nobody says. It is two, with a comma between them, for a dual-stack cluster.
func (d Documents) PodSubnet() string { return d.networking("podSubnet", "") }

// ServiceSubnet is the network of the services, likewise.
func (d Documents) ServiceSubnet() string { return d.networking("serviceSubnet", defaultServiceSubnet) }

// DNSDomain is the domain of the services.
func (d Documents) DNSDomain() string { return d.networking("dnsDomain", defaultDNSDomain) }

func (d Documents) networking(field, otherwise string) string {
	if text, _ := at(d[kindCluster], "networking", field).(string); text != "" {
		return text
	}
	return otherwise
}

// DNSAddress is where the cluster's DNS is: the tenth address of the services (kubeadm's GetDNSIP); empty for a subnet that is none.
func (d Documents) DNSAddress() string {
	subnets, err := prefixes(d.ServiceSubnet())
	if err != nil || len(subnets) == 0 {
		return ""
	}
	address := subnets[0].Masked().Addr()
	for range 10 {
		address = address.Next()
	}
	return address.String()
}

// hostname is RFC 1123, section 2.1, with a wildcard for the first label.
var hostname = regexp.MustCompile(`^(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

// Check says what cannot work: subnets that overlap each other or contain a host, and names that a certificate cannot have.
func (d Documents) Check(hosts []netip.Addr) error {
	var failed []error
	fail := func(field, format string, args ...any) {
		failed = append(failed, fmt.Errorf("%s: %s: %w", kindCluster, field, fmt.Errorf(format, args...)))
	}
	subnets := map[string][]netip.Prefix{}
	for field, text := range map[string]string{"networking.podSubnet": d.PodSubnet(), "networking.serviceSubnet": d.ServiceSubnet()} {
		list, err := prefixes(text)
		if err != nil {
			fail(field, "%w", err)
		}
		subnets[field] = list
		for _, subnet := range list {
			for _, host := range hosts {
				if subnet.Contains(host) {
					fail(field, "%s contains the host %s: choose a network that the site does not use", subnet, host)
				}
			}
		}
	}
	for _, pods := range subnets["networking.podSubnet"] {
		for _, services := range subnets["networking.serviceSubnet"] {
			if pods.Overlaps(services) {
				fail("networking.podSubnet", "%s and serviceSubnet %s overlap", pods, services)
			}
		}
	}
	for _, services := range subnets["networking.serviceSubnet"] {
		// The allocator of the API server takes at most 20 bits.
		if services.Addr().BitLen()-services.Bits() > 20 {
			fail("networking.serviceSubnet", "%s is larger than Kubernetes takes: /%d at most", services, services.Addr().BitLen()-20)
		}
	}
	names, _ := at(d[kindCluster], "apiServer", "certSANs").([]any)
	for _, name := range names {
		text := fmt.Sprint(name)
		if _, err := netip.ParseAddr(text); err != nil && !hostname.MatchString(strings.ToLower(text)) {
			fail("apiServer.certSANs", "%q is neither a host name nor an IP address", text)
		}
	}
	return errors.Join(failed...)
}

func prefixes(text string) ([]netip.Prefix, error) {
	if text == "" {
		return nil, nil
	}
	var list []netip.Prefix
	for item := range strings.SplitSeq(text, ",") {
		prefix, err := netip.ParsePrefix(strings.TrimSpace(item))
		if err != nil {
			return nil, fmt.Errorf("%q is no network like 10.244.0.0/16", item)
		}
		list = append(list, prefix)
	}
	return list, nil
}
