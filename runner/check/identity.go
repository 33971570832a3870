package check

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubefile/kubefile/runner/host"
)

const maxName = 63

func identity() []Check {
	return []Check{
		{ID: "host-reachable", Severity: Error, Title: "Every host can be logged in to, as root or with sudo", site: reachable},
		{ID: "address-is-own", Severity: Error, Title: "The address that was given is one of the host's own", host: ownAddress},
		{ID: "address-not-loopback", Severity: Error, Title: "The address of a host is not a loopback address", host: loopbackAddress},
		{ID: "host-named-once", Severity: Error, Title: "Every machine is named once", site: sameMachine},
		{ID: "hostname-valid", Severity: Error, Title: "The name of a host is a valid name for a node", host: validName},
		{ID: "hostname-unique", Severity: Error, Title: "No two hosts have one name", site: uniqueName},
		{ID: "machine-id", Severity: Warning, Title: "Every host has a machine ID of its own", site: machineID},
		{ID: "architecture", Severity: Error, Title: "The image is for the processor of the host", host: architecture},
		{ID: "systemd", Severity: Error, Title: "The host was booted with systemd", host: booted},
		{ID: "even-masters", Severity: Warning, Title: "The number of masters is odd", site: evenMasters},
		{ID: "masters-only", Severity: Warning, Title: "A new cluster has a host that takes pods of applications", site: mastersOnly},
	}
}

func reachable(s *Site, report func(h *Host, what, fix string)) {
	for i, h := range s.Hosts {
		var p *host.Problem
		switch {
		case h.Err == nil:
		case errors.As(h.Err, &p):
			report(&s.Hosts[i], p.What, p.Mend)
		default:
			report(&s.Hosts[i], host.WithoutAddress(h.Host, h.Err.Error()), "check the address, the login and the host's sshd, then run the command again")
		}
	}
}

func ownAddress(h Host, _ *Site, report func(what, fix string)) {
	if !h.Host.Local && h.Facts.Knows(host.TopicAddresses) && !slices.Contains(h.Facts.Addresses, h.Host.Address) {
		report(fmt.Sprintf("the machine that answers has no interface with this address (it has %s)", join(h.Facts.Addresses)),
			"give the host's own address, not one that is translated on the way")
	}
}

func loopbackAddress(h Host, _ *Site, report func(what, fix string)) {
	if h.Host.Address.IsLoopback() {
		report("its address is a loopback address, where no other host and no pod reaches it", "give the address of a network interface")
	}
}

// sameMachine finds two addresses of one machine. Its identifiers alone do not show it: cloned machines share /etc/machine-id, containers the boot.
func sameMachine(s *Site, report func(h *Host, what, fix string)) {
	seen := map[[2]string][]*Host{}
	for _, h := range s.reached() {
		if !h.Facts.Knows(host.TopicMachineID) || !h.Facts.Knows(host.TopicBootID) {
			continue
		}
		key := [2]string{h.Facts.MachineID, h.Facts.BootID}
		if i := slices.IndexFunc(seen[key], func(other *Host) bool { return same(h, other) }); i >= 0 {
			report(h, "is the same machine as "+seen[key][i].Host.String(), "name each host once")
		}
		seen[key] = append(seen[key], h)
	}
}

func same(a, b *Host) bool {
	return a.Facts.MachineID == b.Facts.MachineID && a.Facts.BootID == b.Facts.BootID &&
		slices.Contains(a.Facts.Addresses, b.Host.Address) && slices.Contains(b.Facts.Addresses, a.Host.Address)
}

func validName(h Host, _ *Site, report func(what, fix string)) {
	const fix = "give the host a name of lower-case letters, digits and hyphens (hostnamectl set-hostname NAME), or name it with a HOSTNAME plugin"
	name := h.name()
	switch {
	case h.Ours: // its node has a name that does not change
	case name == "" && !h.Facts.Knows(host.TopicHostname):
	case name == "":
		report("it has no host name", fix)
	case name == "localhost" || strings.HasPrefix(name, "localhost."):
		report(fmt.Sprintf("its host name is %q, which means another host on each of them", name), fix)
	case len(name) > maxName:
		report(fmt.Sprintf("its host name has %d characters, and the name of a node at most %d", len(name), maxName), fix)
	case len(validation.IsDNS1123Subdomain(name)) > 0:
		report(fmt.Sprintf("its host name %q is not a DNS name, so the API server refuses the node", name), fix)
	}
}

func uniqueName(s *Site, report func(h *Host, what, fix string)) {
	seen := map[string]*Host{}
	for _, h := range s.reached() {
		other := seen[h.name()]
		if h.name() == "" {
			continue
		}
		if other == nil {
			seen[h.name()] = h
		} else if !same(h, other) {
			report(h, fmt.Sprintf("its host name %q is also that of %s", h.name(), other.Host), "give each host a name of its own: hostnamectl set-hostname NAME")
		}
	}
}

func machineID(s *Site, report func(h *Host, what, fix string)) {
	const fix = "rm /etc/machine-id, then systemd-machine-id-setup and a reboot"
	seen := map[string]*Host{}
	for _, h := range s.reached() {
		other := seen[h.Facts.MachineID]
		switch {
		case !h.Facts.Knows(host.TopicMachineID):
		case h.Facts.MachineID == "" || h.Facts.MachineID == "uninitialized":
			report(h, "/etc/machine-id is empty or missing, and the journal and the node have no identity", fix)
		case other == nil:
			seen[h.Facts.MachineID] = h
		case !same(h, other):
			report(h, fmt.Sprintf("it has the machine ID of %s: DHCP may give both one address, and monitoring takes them for one host", other.Host), fix)
		}
	}
}

func architecture(h Host, s *Site, report func(what, fix string)) {
	if s.Architecture != "" && h.Facts.Knows(host.TopicArchitecture) && h.Facts.Architecture != s.Architecture {
		report(fmt.Sprintf("its architecture is %s, the image is for %s", h.Facts.Architecture, s.Architecture),
			"use an image for "+h.Facts.Architecture+", or another host")
	}
}

func booted(h Host, _ *Site, report func(what, fix string)) {
	if h.Facts.Knows(host.TopicInit) && h.Facts.Init != "systemd" {
		report(fmt.Sprintf("process 1 is %q, not systemd", h.Facts.Init), "use a host that was booted with systemd")
	}
}

func evenMasters(s *Site, report func(h *Host, what, fix string)) {
	masters := 0
	for _, h := range s.Hosts {
		if h.master() {
			masters++
		}
	}
	if masters > 0 && masters%2 == 0 {
		report(nil, fmt.Sprintf("%d masters bear the loss of no more masters than %d do", masters, masters-1), "use an odd number of masters")
	}
}

// mastersOnly is about new clusters: what an old one has besides the hosts of a run is not known here.
func mastersOnly(s *Site, report func(h *Host, what, fix string)) {
	for _, h := range s.Hosts {
		if h.Facts == nil || h.Ours || !h.master() || h.TakesPods {
			return
		}
	}
	if len(s.Hosts) > 0 {
		report(nil, "no host takes pods of applications: every host is a master, and kubeadm taints masters",
			`add nodes with -n, or set taints: ["node-role.kubernetes.io/control-plane:NoSchedule-"] for a host in the Clusterfile`)
	}
}

func join[T fmt.Stringer](items []T) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = item.String()
	}
	return strings.Join(texts, ", ")
}
