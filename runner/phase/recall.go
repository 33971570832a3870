package phase

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/leave"
	"github.com/kubefile/kubefile/runner/state"
)

// Recalled is what is known of a cluster by its state.
type Recalled struct {
	State *state.State // nil when no master that was reached has one
	// Masters are those that hosts without a state name, where there is none.
	Masters []netip.Addr
	// Unreached are hosts that were named or are in the state, and did not answer.
	Unreached []host.Report
	// Empty are hosts that the state has as nodes of the cluster, and nothing of a cluster is on them.
	Empty []netip.Addr
}

// Recall reads the state of a cluster and reaches all of its hosts. It changes nothing.
func Recall(ctx context.Context, c *Cluster) (Recalled, error) {
	ctx, c.Abandon = context.WithCancelCause(host.Doing(ctx, (&remember{}).Title()))
	defer c.Abandon(nil)
	if c.DryRun {
		c.Report.StartDryRun()
	}
	c.Report.Begin(1, 1, (&remember{}).Title())
	c.unreached = c.Connect(ctx, &c.Session, c.Logins())
	if err := c.recall(ctx); err != nil {
		return Recalled{}, err
	}
	found := Recalled{State: c.State}
	if c.Lost {
		found.State = nil
		for _, m := range c.Members {
			masters, err := leave.MastersOf(ctx, m)
			if err != nil {
				return Recalled{}, err
			}
			found.Masters = append(found.Masters, masters...)
		}
	} else {
		c.unreached = append(c.unreached, c.Connect(ctx, &c.Session, c.Unnamed(&c.Session, &c.Store))...)
		for _, m := range c.Members {
			if known := c.State.Host(m.Host.Address); known != nil && known.In() && !known.Leaves() && m.IsEmpty() {
				found.Empty = append(found.Empty, m.Host.Address)
			}
		}
	}
	found.Unreached = c.unreached
	return found, context.Cause(ctx)
}

// Reach connects to the hosts of a cluster that exists, and reads its state. It changes nothing.
func Reach(ctx context.Context, c *Cluster) error { return c.reach().Run(ctx) }

// Unreached is the error for hosts that a removal did not reach, or nil.
func (c *Cluster) Unreached() error {
	var failed []error
	for _, r := range c.unreached {
		failed = append(failed, fmt.Errorf("%s was not reached and keeps what is on it: %w", r.Host, r.Err))
	}
	return errors.Join(failed...)
}
