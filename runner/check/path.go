package check

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/kubefile/kubefile/runner/host"
)

const kubeletPort = 10250

func connections() []Check {
	return []Check{
		{ID: "path-between-hosts", Severity: Error, Title: "Every host reaches the ports of the masters that it needs", site: paths(false)},
		{ID: "path-to-kubelet", Severity: Warning, Title: "Masters reach the kubelet of every node", site: paths(true)},
		{ID: "path-untested", Severity: Warning, Title: "The connections between hosts could be tested", site: untested},
	}
}

// maxTested is up to how many nodes all masters test; of more each is tested by one master.
const maxTested = 16

// Targets are the ports that one host, by its index, has to reach on others. Nodes do not test one another, so that their number is
// bounded by the number of hosts.
func Targets(s *Site, from int) (targets []netip.AddrPort) {
	var masters, nodes []int
	for i, h := range s.Hosts {
		switch {
		case h.Facts == nil:
		case h.master():
			masters = append(masters, i)
		default:
			nodes = append(nodes, i)
		}
	}
	add := func(to int, ports ...uint16) {
		if a := s.Hosts[to].Host.Address; to != from && a.Is4() == s.Hosts[from].Host.Address.Is4() {
			for _, port := range ports {
				targets = append(targets, netip.AddrPortFrom(a, port))
			}
		}
	}
	own := slices.Index(masters, from)
	for _, to := range masters {
		if own < 0 {
			add(to, 6443, s.RegistryPort)
		} else {
			add(to, 6443, s.RegistryPort, 2379, 2380, kubeletPort)
		}
	}
	for n, to := range nodes {
		if own >= 0 && (len(nodes) <= maxTested || n%len(masters) == own) {
			add(to, kubeletPort)
		}
	}
	return targets
}

// closed are the connections to one host that do not get there, in one way.
type closed struct {
	to    netip.Addr
	state host.PathState
	ports string
	from  []string
}

func paths(kubelet bool) func(s *Site, report func(h *Host, what, fix string)) {
	return func(s *Site, report func(h *Host, what, fix string)) {
		for _, c := range closedPaths(s, kubelet) {
			to := &s.Hosts[slices.IndexFunc(s.Hosts, func(h Host) bool { return h.Host.Address == c.to })]
			consequence := ""
			if kubelet {
				consequence = ": kubectl logs and exec, and metrics, do not work for its pods"
			}
			how := "no answer"
			if c.state == host.Unreachable {
				how = "rejected, or no route"
			}
			report(to, fmt.Sprintf("TCP %s of it cannot be reached from %s (%s)%s", c.ports, list(c.from), how, consequence),
				"open the port in the firewall of "+c.to.String()+" and of what is between, or correct the routes")
		}
	}
}

// closedPaths groups what does not get through by the host that is not reached.
func closedPaths(s *Site, kubelet bool) (all []*closed) {
	for _, h := range s.reached() {
		ports := map[netip.Addr]map[host.PathState][]string{}
		for _, p := range h.Paths {
			known := slices.ContainsFunc(s.Hosts, func(other Host) bool { return other.Host.Address == p.To.Addr() })
			toNode := p.To.Port() == kubeletPort
			if !known || toNode != kubelet || p.State != host.Timeout && p.State != host.Unreachable {
				continue
			}
			if ports[p.To.Addr()] == nil {
				ports[p.To.Addr()] = map[host.PathState][]string{}
			}
			ports[p.To.Addr()][p.State] = append(ports[p.To.Addr()][p.State], strconv.Itoa(int(p.To.Port())))
		}
		for to, states := range ports {
			for state, numbers := range states {
				text := strings.Join(numbers, ", ")
				i := slices.IndexFunc(all, func(c *closed) bool { return c.to == to && c.state == state && c.ports == text })
				if i < 0 {
					i, all = len(all), append(all, &closed{to: to, state: state, ports: text})
				}
				all[i].from = append(all[i].from, h.Host.String())
			}
		}
	}
	slices.SortFunc(all, func(a, b *closed) int {
		return cmp.Or(a.to.Compare(b.to), cmp.Compare(a.ports, b.ports), cmp.Compare(a.state, b.state))
	})
	return all
}

func untested(s *Site, report func(h *Host, what, fix string)) {
	for _, h := range s.reached() {
		i := slices.IndexFunc(h.Paths, func(p host.Path) bool { return p.State == host.Unknown })
		if i < 0 {
			continue
		}
		what := "it has neither bash with timeout nor curl, so its connections to other hosts were not tested"
		if why := h.Paths[i].Why; why != "" {
			what = fmt.Sprintf("it is not known which other hosts it reaches, such as %s (%s)", h.Paths[i].To, why)
		}
		report(h, what+": a closed port shows only when the host joins",
			"make sure that it reaches TCP 6443 and the registry's port of the masters")
	}
}
