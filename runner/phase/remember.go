package phase

import (
	"context"
	"fmt"

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
	if p.state.Digest != "" && p.state.Digest != p.Artifact.Digest {
		p.Report.Line(p.first().String(), fmt.Sprintf("the cluster was made from %s (%s)", p.state.Image, p.state.Digest))
	}
	if p.state.KubernetesVersion != "" && p.state.KubernetesVersion != p.Artifact.Description.KubernetesVersion {
		return fmt.Errorf("the cluster has Kubernetes %s and %s has %s: an upgrade is another work than an installation",
			p.state.KubernetesVersion, p.Artifact.Name, p.Artifact.Description.KubernetesVersion)
	}
	return nil
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
