package kubeadm

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Check returns what would not work at a site with these hosts, with documents that are merged: all problems, joined, each with kind and field.
func (d Documents) Check(hosts []netip.Addr) error { return d.check(hosts, d.ServiceSubnet(), true) }

// CheckPart is Check of documents that others may come below: what they do not say is not looked at.
func (d Documents) CheckPart(hosts []netip.Addr) error {
	return d.check(hosts, d.network("serviceSubnet", ""), false)
}

func (d Documents) check(hosts []netip.Addr, serviceSubnet string, whole bool) error {
	problems := slices.Concat(d.checkNetworks(hosts, serviceSubnet, whole), d.checkNames(), d.checkTaints())
	for _, choice := range []struct {
		kind, field string
		values      []string
	}{
		{KubeletKind, "cgroupDriver", []string{"systemd", "cgroupfs"}},
		{ProxyKind, "mode", []string{"iptables", "ipvs", "nftables"}},
	} {
		if v := d[choice.kind][choice.field]; v != nil && v != "" && !slices.ContainsFunc(choice.values, func(known string) bool { return v == known }) {
			problems = append(problems, fmt.Errorf("%s.%s: unknown %v: there are %s", choice.kind, choice.field, v, strings.Join(choice.values, ", ")))
		}
	}
	for _, kind := range []string{InitKind, JoinKind} {
		if d[kind]["dryRun"] == true {
			problems = append(problems, fmt.Errorf("%s.dryRun: kubeadm would only tell what it does: take it out", kind))
		}
	}
	return errors.Join(problems...)
}

// Limits of kubeadm and kube-apiserver, in bits of host addresses.
const (
	maxServiceBits = 20 // /12 of IPv4, /108 of IPv6
	minBits        = 4  // kubeadm wants 10 services, and 14 pods
	maxNodeBits    = 16 // of networks of nodes in the network of the pods
)

// checkNetworks looks at how nodes share the network of the pods only when the arguments of the controller manager are all there.
func (d Documents) checkNetworks(hosts []netip.Addr, serviceSubnet string, whole bool) (problems []error) {
	complain := func(field, format string, args ...any) {
		problems = append(problems, fmt.Errorf("%s.networking.%s: "+format, append([]any{ClusterKind, field}, args...)...))
	}
	read := func(field, subnet string) []netip.Prefix {
		if subnet == "" {
			return nil
		}
		networks, err := parseSubnet(subnet)
		if err != nil {
			complain(field, "%w", err)
		}
		for _, n := range networks {
			if n.Addr().BitLen()-n.Bits() < minBits {
				complain(field, "%s is too small", n)
			}
			for _, h := range hosts {
				if n.Contains(h.Unmap()) {
					complain(field, "%s has the host %s in it: choose another network", n, h)
				}
			}
		}
		return networks
	}
	services := read("serviceSubnet", serviceSubnet)
	for _, n := range services {
		if n.Addr().BitLen()-n.Bits() > maxServiceBits {
			complain("serviceSubnet", "%s is larger than kube-apiserver takes: at most /%d", n, n.Addr().BitLen()-maxServiceBits)
		}
	}
	// kube-apiserver wants its own address and the first network of the services to be of one family.
	if len(hosts) > 0 && len(services) > 0 && !slices.ContainsFunc(hosts, func(h netip.Addr) bool { return h.Unmap().Is4() == services[0].Addr().Is4() }) {
		complain("serviceSubnet", "no host has an address of the family of %s: write a network of theirs, first if there are two", services[0])
	}
	for _, n := range read("podSubnet", d.PodSubnet()) {
		for _, s := range services {
			if n.Overlaps(s) {
				complain("podSubnet", "%s overlaps with serviceSubnet %s", n, s)
			}
		}
		if !whole {
			continue
		}
		if err := d.checkNodeNetworks(n, len(hosts)); err != nil {
			complain("podSubnet", "%w", err)
		}
	}
	return problems
}

// checkNodeNetworks reports whether a network of pods can be split into one for each node.
func (d Documents) checkNodeNetworks(pods netip.Prefix, nodes int) error {
	if d.controllerArgument("allocate-node-cidrs") == "false" {
		return nil
	}
	argument, bits := "node-cidr-mask-size-ipv4", 24
	if pods.Addr().Is6() {
		argument, bits = "node-cidr-mask-size-ipv6", 64
	}
	if s := d.controllerArgument(argument); s != "" {
		var err error
		if bits, err = strconv.Atoi(s); err != nil {
			return fmt.Errorf("%s of the controllerManager is %q, no number", argument, s)
		}
	}
	switch split := bits - pods.Bits(); {
	case split < 0 || split < maxNodeBits && 1<<split < nodes:
		return fmt.Errorf("%s is too small for %d nodes with a /%d each: choose a larger one, or %s in extraArgs of the controllerManager",
			pods, nodes, bits, argument)
	case split > maxNodeBits:
		return fmt.Errorf("%s is larger than kubeadm takes: at most /%d", pods, bits-maxNodeBits)
	}
	return nil
}

// controllerArgument is the last value of an argument of the controller manager.
func (d Documents) controllerArgument(name string) (value string) {
	arguments, _ := d.at(ClusterKind, "controllerManager", "extraArgs").([]any)
	for _, a := range arguments {
		if NameOf(a) == name {
			value, _ = a.(map[string]any)["value"].(string)
		}
	}
	return value
}

func (d Documents) checkNames() (problems []error) {
	if domain := d.DNSDomain(); len(validation.IsDNS1123Subdomain(domain)) > 0 {
		problems = append(problems, fmt.Errorf("%s.networking.dnsDomain: %q is not a domain name", ClusterKind, domain))
	}
	names, _ := d.at(ClusterKind, "apiServer", "certSANs").([]any)
	for _, v := range names {
		name := fmt.Sprint(v)
		if _, err := netip.ParseAddr(name); err != nil && len(validation.IsDNS1123Subdomain(name)) > 0 && len(validation.IsWildcardDNS1123Subdomain(name)) > 0 {
			problems = append(problems, fmt.Errorf("%s.apiServer.certSANs: %q is neither an address nor a host name in small letters", ClusterKind, name))
		}
	}
	return problems
}

// checkTaints refuses taints with which a kubelet would not register its node.
func (d Documents) checkTaints() (problems []error) {
	effects := []string{"NoSchedule", "PreferNoSchedule", "NoExecute"}
	for _, kind := range []string{InitKind, JoinKind} {
		taints, _ := d.at(kind, "nodeRegistration", "taints").([]any)
		for i, t := range taints {
			taint, _ := t.(map[string]any)
			key, _ := taint["key"].(string)
			effect, _ := taint["effect"].(string)
			if len(validation.IsQualifiedName(key)) > 0 || !slices.Contains(effects, effect) {
				problems = append(problems, fmt.Errorf("%s.nodeRegistration.taints[%d]: a taint has a key and an effect of %s", kind, i, strings.Join(effects, ", ")))
			}
		}
	}
	return problems
}

// MastersTakePods reports whether the documents give the first master, and masters that join, no taint that keeps pods off. Without taints
// in the documents, kubeadm has its own.
func (d Documents) MastersTakePods() (first, others bool) {
	first = takesPods(d.at(InitKind, "nodeRegistration", "taints"))
	if d.at(JoinKind, "nodeRegistration") == nil {
		return first, first // as JoinConfig has it
	}
	return first, takesPods(d.at(JoinKind, "nodeRegistration", "taints"))
}

func takesPods(taints any) bool {
	list, set := taints.([]any)
	return set && !slices.ContainsFunc(list, func(t any) bool {
		taint, _ := t.(map[string]any)
		return taint["effect"] != "PreferNoSchedule"
	})
}
