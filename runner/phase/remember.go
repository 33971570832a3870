package phase

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kubefile/kubefile/runner/state"
)

// remember reads what the first master knows of the cluster, so that later phases know what has been done.
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
	if err := p.foreign(ctx); err != nil {
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
			case same && m.name() != known.Name:
				wrong = append(wrong, fmt.Errorf("%s is %s in the cluster, and its host name is %s now: name it back (hostnamectl hostname %s)",
					m, known.Name, m.name(), known.Name))
			case !same && m.name() == known.Name:
				wrong = append(wrong, fmt.Errorf("%s is named %s, as is %s of the cluster: rename it (hostnamectl hostname NAME)", m, m.name(), known.Address))
			}
		}
	}
	return wrong
}

// foreign refuses nodes that have joined while the first master has no control plane: they are of a cluster with another master.
func (p *remember) foreign(ctx context.Context) error {
	made, err := p.first().marked(ctx, initMarker, finished)
	if err != nil || made {
		return err
	}
	return p.each(ctx, p.nodes(), func(ctx context.Context, m *member) error {
		joined, err := m.marked(ctx, joinMarker, finished)
		if err == nil && joined {
			return fmt.Errorf("%s has joined a cluster %s of another master than %s: name that one with -m, or take this host out of it first",
				m, p.Name, p.first())
		}
		return err
	})
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

// recall reads the state from the first master; without one it is a new one.
func (c *Cluster) recall(ctx context.Context) error {
	c.state = state.New(c.Name)
	if len(c.masters()) == 0 {
		return nil
	}
	m := c.first()
	there, err := m.holds(ctx, "test", "-s", m.path(stateFile))
	if err != nil || !there {
		return err
	}
	data, err := m.ask(ctx, "cat", m.path(stateFile))
	if err != nil {
		return err
	}
	c.state, err = state.Parse(data)
	return err
}
