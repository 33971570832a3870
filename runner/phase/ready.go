package phase

import (
	"context"
	"slices"
	"time"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/command"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/health"
	"github.com/kubefile/kubefile/runner/join"
)

// ready waits until the cluster works, which the image's network plugin makes it: after its own commands if it is an application of the
// image, else after all commands, of which any may be the one.
type ready struct {
	*Cluster
	after command.Stage
}

func (*ready) Title() string { return "Wait until the cluster works" }

// readyPatience is how long a cluster may take until it works.
const readyPatience = 5 * time.Minute

func (p *ready) Run(ctx context.Context) error {
	after := command.Guests
	if slices.ContainsFunc(p.Artifact.Description.Apps, func(a imagespec.App) bool { return command.IsNetwork(p.Artifact.Description.Apps, a.Name) }) {
		after = command.Network
	}
	if p.after != after {
		return nil
	}
	if !p.DryRun {
		if err := p.works(ctx, readyPatience, false); err != nil {
			return err
		}
	}
	return join.SpreadDNS(ctx, &p.Session, &p.Store, p.kubeadm)
}

// works waits until the hosts that the run is about have no problem: others may have problems of their own.
func (c *Cluster) works(ctx context.Context, patience time.Duration, whole bool) error {
	return health.Works(ctx, c.asked(), c.kubeadm, patience, whole)
}

// asked is the session with the hosts that the run is about.
func (c *Cluster) asked() *execute.Session {
	s := c.Session
	if c.Joining != nil {
		s.Lead, s.Members = c.First(), c.Targets()
	}
	return &s
}
