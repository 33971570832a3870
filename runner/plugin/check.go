package plugin

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/host"
)

// Check reads the data and compares the plugin with the hosts of the cluster: addresses that are no host, data for hosts that the
// plugin does not run on, and roles that no host has are errors. A plugin of the image may name a role that the site has no host for.
// What a label selector matches is left to the cluster, unless it is of masters only.
func (p Plugin) Check(hosts []Host) error {
	return errors.Join(p.checkOn(hosts), p.checkData(hosts))
}

func (p Plugin) checkOn(hosts []Host) error {
	var problems []error
	problem := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("%s: on %q: %w", p, p.On, fmt.Errorf(format, args...)))
	}
	for _, a := range p.On.addresses {
		if !slices.ContainsFunc(hosts, func(h Host) bool { return h.Address == a }) {
			problem("%s is not a host of the cluster", a)
		}
	}
	known := roles(hosts)
	for _, role := range p.On.roles {
		if slices.ContainsFunc(hosts, func(h Host) bool { return h.has(role) }) {
			continue
		}
		if like := similar(role, known); like != "" && like != role {
			problem("no host has the role %s: did you mean %s?", role, like)
		} else if !p.FromImage {
			problem("no host has the role %s", role)
		}
	}
	for _, s := range p.On.selectors {
		matches := func(h Host) bool { return s.Matches(h.labels()) }
		requirements, _ := s.Requirements()
		decided := true
		for _, r := range requirements {
			decided = decided && slices.Contains(masterLabels, r.Key())
		}
		if decided && !slices.ContainsFunc(hosts, matches) {
			problem("no host has such labels: masters have %s=, others have not", strings.Join(masterLabels, "= and "))
		}
	}
	return errors.Join(problems...)
}

// roles are those that hosts can be selected by.
func roles(hosts []Host) []string {
	known := []string{"master", "node", firstRole}
	for _, h := range hosts {
		for _, r := range h.Roles {
			if !slices.Contains(known, r) {
				known = append(known, r)
			}
		}
	}
	return known
}

func (p Plugin) checkData(hosts []Host) error {
	switch p.Type {
	case ClusterCheck:
		_, err := p.Timeout()
		return err
	case Hostname:
		return checkAddresses(p, hosts, p.Hostnames)
	case Label:
		return checkAddresses(p, hosts, p.Labels)
	case Taint:
		return checkAddresses(p, hosts, p.Taints)
	}
	if strings.TrimSpace(p.Data) == "" {
		return fmt.Errorf("%s: no data: nothing to run", p)
	}
	if strings.ContainsRune(p.Data, 0) {
		return fmt.Errorf("%s: data with a NUL is not a script", p)
	}
	return nil
}

// checkAddresses reads data, and refuses lines for addresses that are no host, or that the plugin does not run on.
func checkAddresses[C any](p Plugin, hosts []Host, read func() (map[netip.Addr]C, error)) error {
	changes, err := read()
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		return fmt.Errorf("%s: no data: nothing to change", p)
	}
	return p.entries(func(words []string) error {
		addresses, err := host.ParseAddresses(words[0])
		if err != nil {
			return err
		}
		for _, a := range addresses {
			i := slices.IndexFunc(hosts, func(h Host) bool { return h.Address == a })
			if i < 0 {
				return fmt.Errorf("%s is not a host of the cluster", a)
			}
			if p.On.Selector() == "" && !p.On.Selects(hosts[i]) {
				return fmt.Errorf("%s is not selected by on %q", a, p.On)
			}
		}
		return nil
	})
}
