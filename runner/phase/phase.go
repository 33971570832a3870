// Package phase is the work at the site, in order: what brings a cluster image up on hosts, and what takes it down again. There is one
// file per phase, named after it; [Bringup] and [Removal] are the lists.
//
// A phase looks first whether its work is done. What changes a host goes through [Cluster.Do], so that a dry run says exactly what
// a run does.
package phase

import (
	"context"
	"fmt"
)

// Phase is one step of the work.
type Phase interface {
	// Title says what the phase does, for a person.
	Title() string
	// Run does it.
	Run(ctx context.Context) error
}

// closer is a phase that holds something until all phases are over.
type closer interface {
	Close() error
}

// Bringup is everything from hosts with SSH to a cluster that runs the image's commands.
func Bringup(c *Cluster) []Phase {
	return []Phase{
		&checkArtifact{c},
		&preflight{c},
		&lock{Cluster: c},
		&remember{c},
		&installAgent{c},
		&transfer{c},
		&templates{c},
		&hostsFile{c},
		&scripts{c},
		&registry{c},
		&kubeadmInit{c},
		&kubeconfig{c},
		&kubeadmJoin{c},
		&commands{c},
		&ready{c},
		&saveState{c},
	}
}

// Removal is everything that leaves the hosts as they were before.
func Removal(c *Cluster) []Phase {
	return []Phase{
		&reach{c},
		&lock{Cluster: c},
		&clean{c},
	}
}

// Perform runs the phases in order and stops at the first that fails.
func Perform(ctx context.Context, c *Cluster, phases []Phase) error {
	ctx, c.abandon = context.WithCancelCause(ctx)
	defer c.abandon(nil)
	for i, p := range phases {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if held, ok := p.(closer); ok {
			defer held.Close()
		}
		c.Report.phase(i+1, len(phases), p.Title())
		if err := p.Run(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.Title(), err)
		}
	}
	return nil
}
