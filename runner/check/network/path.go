package network

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/kubefile/kubefile/runner/check"
	"github.com/kubefile/kubefile/runner/host"
)

func connections() []check.Check {
	return []check.Check{
		{ID: "path-between-hosts", Severity: check.Error, Title: "Every host reaches the ports of the masters that it needs", Site: paths(false)},
		{ID: "path-to-kubelet", Severity: check.Warning, Title: "Masters reach the kubelet of every node", Site: paths(true)},
		{ID: "path-untested", Severity: check.Warning, Title: "The connections between hosts could be tested", Site: untested},
	}
}

// closed are the connections to one host that do not get there, in one way.
type closed struct {
	to    netip.Addr
	state host.PathState
	ports string
	from  []string
}

func paths(kubelet bool) func(s *check.Site, report func(h *check.Host, what, fix string)) {
	return func(s *check.Site, report func(h *check.Host, what, fix string)) {
		for _, c := range closedPaths(s, kubelet) {
			to := &s.Hosts[slices.IndexFunc(s.Hosts, func(h check.Host) bool { return h.Host.Address == c.to })]
			consequence := ""
			if kubelet {
				consequence = ": kubectl logs and exec, and metrics, do not work for its pods"
			}
			how := "no answer"
			if c.state == host.Unreachable {
				how = "rejected, or no route"
			}
			report(to, fmt.Sprintf("TCP %s of it cannot be reached from %s (%s)%s", c.ports, check.List(c.from), how, consequence),
				"open the port in the firewall of "+c.to.String()+" and of what is between, or correct the routes")
		}
	}
}

// closedPaths groups what does not get through by the host that is not reached.
func closedPaths(s *check.Site, kubelet bool) (all []*closed) {
	for _, h := range s.Reached() {
		ports := map[netip.Addr]map[host.PathState][]string{}
		for _, p := range h.Paths {
			known := slices.ContainsFunc(s.Hosts, func(other check.Host) bool { return other.Host.Address == p.To.Addr() })
			toNode := p.To.Port() == check.KubeletPort
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

func untested(s *check.Site, report func(h *check.Host, what, fix string)) {
	for _, h := range s.Reached() {
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
