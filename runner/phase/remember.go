package phase

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/state"
)

// remember reads what the masters know of the cluster, so that later phases know what has been done.
type remember struct{ *Cluster }

func (*remember) Title() string { return "Read the cluster's state" }

const stateFile = "state.json"

func (p *remember) Run(ctx context.Context) error {
	if err := p.recall(ctx); err != nil {
		return err
	}
	if err := errors.Join(p.mismatches()...); err != nil {
		return err
	}
	if err := p.foreign(); err != nil {
		return err
	}
	if p.state.Digest != "" && p.state.Digest != p.Artifact.Digest {
		p.Report.Line(p.first().String(), fmt.Sprintf("the cluster was made from %s (%s)", p.state.Image, p.state.Digest))
	}
	if p.state.KubernetesVersion != "" && p.state.KubernetesVersion != p.Artifact.Description.KubernetesVersion {
		return fmt.Errorf("the cluster has Kubernetes %s and %s has %s: an upgrade is another work than an installation",
			p.state.KubernetesVersion, p.Artifact.Name, p.Artifact.Description.KubernetesVersion)
	}
	return nil
}

// mismatches are the hosts that were given otherwise than the cluster knows them.
func (p *remember) mismatches() (wrong []error) {
	for _, known := range p.state.Hosts {
		for _, m := range p.members {
			switch same := m.host.Address == known.Address; {
			case same && string(m.host.Role) != known.Role:
				wrong = append(wrong, fmt.Errorf("%s is a %s of the cluster, and was given as a %s", m, known.Role, m.host.Role))
			case same && p.given(m) != "" && p.given(m) != known.Name:
				wrong = append(wrong, fmt.Errorf("%s is %s in the cluster, and a plugin names it %s: a node cannot be renamed", m, known.Name, p.given(m)))
			case !same && m.name == known.Name:
				wrong = append(wrong, fmt.Errorf("%s is named %s, as is %s of the cluster: rename it (hostnamectl hostname NAME, or a HOSTNAME plugin)",
					m, m.name, known.Address))
			}
		}
	}
	return wrong
}

// foreign refuses nodes that have joined while no master has a control plane: they are of a cluster with another master.
func (p *remember) foreign() error {
	if p.first().joined {
		return nil
	}
	for _, m := range p.nodes() {
		if m.joined {
			return fmt.Errorf("%s has joined a cluster %s of another master than %s: name that one with -m, or take this host out of it first",
				m, p.Name, p.first())
		}
	}
	return nil
}

// given is the name that a HOSTNAME plugin of the Clusterfile gives a host, or nothing.
func (c *Cluster) given(m *member) string {
	for _, one := range c.Site.Plugins {
		if one.Type != plugin.Hostname || !one.On.Selects(c.pluginHost(m)) {
			continue
		}
		names, err := one.Hostnames() // what is wrong with it, adapt says
		if name := names[m.host.Address]; err == nil && name != "" {
			return name
		}
	}
	return ""
}

// others are the hosts of the cluster that were not given this time. They stay in it.
func (c *Cluster) others() []state.Host {
	var others []state.Host
	for _, h := range c.state.Hosts {
		given := func(m *member) bool { return m.host.Address == h.Address }
		if !slices.ContainsFunc(c.members, given) {
			others = append(others, h)
		}
	}
	return others
}

// known says that a host was in the cluster when a run was complete last.
func (c *Cluster) known(address netip.Addr) bool {
	return slices.ContainsFunc(c.state.Hosts, func(h state.Host) bool { return h.Address == address })
}

// recall reads the state from the masters, and takes the newest: one of them may have been away when it was written last. Without any
// it is a new one.
func (c *Cluster) recall(ctx context.Context) error {
	c.state = state.New(c.Name)
	for _, m := range c.masters() {
		data, err := m.read(ctx, m.path(stateFile))
		if err != nil {
			return err
		}
		if len(data) == 0 {
			continue
		}
		found, err := state.Parse(data)
		if err != nil {
			return fmt.Errorf("%s: %w", m, err)
		}
		if found.Revision >= c.state.Revision {
			c.state = found
		}
	}
	c.settleNames()
	return nil
}

// settleNames finds the names of the nodes: that which is known, that which a plugin gives, or the host's own.
func (c *Cluster) settleNames() {
	for _, m := range c.members {
		m.name = strings.ToLower(cmp.Or(c.given(m), m.facts.Hostname))
		for _, known := range c.state.Hosts {
			if known.Address == m.host.Address {
				m.name = known.Name
			}
		}
	}
}
