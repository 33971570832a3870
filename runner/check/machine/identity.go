package machine

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubefile/kubefile/runner/check"
	"github.com/kubefile/kubefile/runner/host"
)

const maxName = 63

func identity() []check.Check {
	return []check.Check{
		{ID: "host-reachable", Severity: check.Error, Title: "Every host can be logged in to, as root or with sudo", Site: reachable},
		{ID: "address-is-own", Severity: check.Error, Title: "The address that was given is one of the host's own", Host: ownAddress},
		{ID: "address-not-loopback", Severity: check.Error, Title: "The address of a host is not a loopback address", Host: loopbackAddress},
		{ID: "host-named-once", Severity: check.Error, Title: "Every machine is named once", Site: sameMachine},
		{ID: "hostname-valid", Severity: check.Error, Title: "The name of a host is a valid name for a node", Host: validName},
		{ID: "hostname-unique", Severity: check.Error, Title: "No two hosts have one name", Site: uniqueName},
		{ID: "machine-id", Severity: check.Warning, Title: "Every host has a machine ID of its own", Site: machineID},
		{ID: "architecture", Severity: check.Error, Title: "The image is for the processor of the host", Host: architecture},
		{ID: "systemd", Severity: check.Error, Title: "The host was booted with systemd", Host: booted},
		{ID: "even-masters", Severity: check.Warning, Title: "The number of masters is odd", Site: evenMasters},
		{ID: "masters-only", Severity: check.Warning, Title: "A new cluster has a host that takes pods of applications", Site: mastersOnly},
	}
}

func reachable(s *check.Site, report func(h *check.Host, what, fix string)) {
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

func ownAddress(h check.Host, _ *check.Site, report func(what, fix string)) {
	if !h.Host.Local && h.Facts.Knows(host.TopicAddresses) && !slices.Contains(h.Facts.Addresses, h.Host.Address) {
		report(fmt.Sprintf("the machine that answers has no interface with this address (it has %s)", join(h.Facts.Addresses)),
			"give the host's own address, not one that is translated on the way")
	}
}

func loopbackAddress(h check.Host, _ *check.Site, report func(what, fix string)) {
	if h.Host.Address.IsLoopback() {
		report("its address is a loopback address, where no other host and no pod reaches it", "give the address of a network interface")
	}
}

// sameMachine finds two addresses of one machine. Its identifiers alone do not show it: cloned machines share /etc/machine-id, containers the boot.
func sameMachine(s *check.Site, report func(h *check.Host, what, fix string)) {
	seen := map[[2]string][]*check.Host{}
	for _, h := range s.Reached() {
		if !h.Facts.Knows(host.TopicMachineID) || !h.Facts.Knows(host.TopicBootID) {
			continue
		}
		key := [2]string{h.Facts.MachineID, h.Facts.BootID}
		if i := slices.IndexFunc(seen[key], func(other *check.Host) bool { return same(h, other) }); i >= 0 {
			report(h, "is the same machine as "+seen[key][i].Host.String(), "name each host once")
		}
		seen[key] = append(seen[key], h)
	}
}

func same(a, b *check.Host) bool {
	return a.Facts.MachineID == b.Facts.MachineID && a.Facts.BootID == b.Facts.BootID &&
		slices.Contains(a.Facts.Addresses, b.Host.Address) && slices.Contains(b.Facts.Addresses, a.Host.Address)
}

func validName(h check.Host, _ *check.Site, report func(what, fix string)) {
	const fix = "give the host a name of lower-case letters, digits and hyphens (hostnamectl set-hostname NAME), or name it with a HOSTNAME plugin"
	name := h.NodeName()
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

func uniqueName(s *check.Site, report func(h *check.Host, what, fix string)) {
	seen := map[string]*check.Host{}
	for _, h := range s.Reached() {
		other := seen[h.NodeName()]
		if h.NodeName() == "" {
			continue
		}
		if other == nil {
			seen[h.NodeName()] = h
		} else if !same(h, other) {
			report(h, fmt.Sprintf("its host name %q is also that of %s", h.NodeName(), other.Host), "give each host a name of its own: hostnamectl set-hostname NAME")
		}
	}
}

func machineID(s *check.Site, report func(h *check.Host, what, fix string)) {
	const fix = "rm /etc/machine-id, then systemd-machine-id-setup and a reboot"
	seen := map[string]*check.Host{}
	for _, h := range s.Reached() {
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

func architecture(h check.Host, s *check.Site, report func(what, fix string)) {
	if s.Architecture != "" && h.Facts.Knows(host.TopicArchitecture) && h.Facts.Architecture != s.Architecture {
		report(fmt.Sprintf("its architecture is %s, the image is for %s", h.Facts.Architecture, s.Architecture),
			"use an image for "+h.Facts.Architecture+", or another host")
	}
}

func booted(h check.Host, _ *check.Site, report func(what, fix string)) {
	if h.Facts.Knows(host.TopicInit) && h.Facts.Init != "systemd" {
		report(fmt.Sprintf("process 1 is %q, not systemd", h.Facts.Init), "use a host that was booted with systemd")
	}
}

func evenMasters(s *check.Site, report func(h *check.Host, what, fix string)) {
	masters := 0
	for _, h := range s.Hosts {
		if h.IsMaster() {
			masters++
		}
	}
	if masters > 0 && masters%2 == 0 {
		report(nil, fmt.Sprintf("%d masters bear the loss of no more masters than %d do", masters, masters-1), "use an odd number of masters")
	}
}

// mastersOnly is about new clusters: what an old one has besides the hosts of a run is not known here.
func mastersOnly(s *check.Site, report func(h *check.Host, what, fix string)) {
	for _, h := range s.Hosts {
		if h.Facts == nil || h.Ours || !h.IsMaster() || h.TakesPods {
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
