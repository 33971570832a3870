package phase

import (
	"context"

	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/preflight"
	"github.com/kubefile/kubefile/runner/state"
)

// checkImage reads the image of the run.
func (c *Cluster) checkImage() *preflight.CheckImage {
	return &preflight.CheckImage{Report: c.Report, Artifact: c.Artifact, Site: c.Site}
}

// checkHosts reaches all hosts, and checks them.
func (c *Cluster) checkHosts() *preflight.CheckHosts {
	return &preflight.CheckHosts{Session: &c.Session, Inventory: &c.Inventory, Artifact: c.Artifact, Site: c.Site,
		RegistryPort: c.Registry.WithDefaults().Port, Draft: c.draftConfiguration}
}

// draftConfiguration returns the documents of kubeadm for a cluster of which nothing is there yet.
func (c *Cluster) draftConfiguration(ctx context.Context) (kubeadm.Documents, error) {
	draft := *c
	draft.State = state.New(c.Name)
	draft.settleNames()
	adapter, err := draft.adapter(ctx)
	if err != nil {
		return nil, err
	}
	c.image.Files = adapter.Files
	return adapter.Documents()
}
