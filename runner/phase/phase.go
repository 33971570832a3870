// Package phase is the work at the site, in order: what brings a cluster image up on hosts, and what takes it down again. [Bringup] and
// [Removal] are two of its lists. Most of the phases are in packages next to this one; here are those that work with several of these packages.
//
// A phase looks first whether its work is done. What changes a host goes through [execute.Session.Do], so that a dry run says exactly what
// a run does.
package phase

import (
	"context"
	"fmt"

	"github.com/kubefile/kubefile/runner/command"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/join"
	"github.com/kubefile/kubefile/runner/network"
	"github.com/kubefile/kubefile/runner/plugin"
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
		c.checkImage(),
		c.checkHosts(),
		&execute.Lock{Session: &c.Session},
		&remember{c},
		&adaptImage{c},
		c.installAgent(),
		c.transfer(),
		c.writeFiles(),
		c.runPlugins(plugin.PreInit),
		c.hostsFile(),
		c.runScripts(),
		c.registryService(),
		&network.Adapt{Session: &c.Session, Kubeadm: &c.kubeadm},
		c.controlPlane(),
		c.reconfigure(),
		c.runPlugins(plugin.PreJoin),
		c.joinMasters(),
		c.apiProxy(),
		c.joinNodes(),
		&kubeconfig{c},
		&join.LabelNodes{Session: &c.Session},
		c.runPlugins(plugin.PostJoin),
		c.runCommands(command.Network),
		&ready{c, command.Network},
		c.runPlugins(plugin.PreGuest),
		c.runCommands(command.Guests),
		&ready{c, command.Guests},
		c.runPlugins(plugin.PostInstall),
		c.removeLayers(),
		&saveState{c},
	}
}

// Installation is everything from a running cluster to one that also runs an application image.
func Installation(c *Cluster) []Phase {
	return []Phase{
		c.checkImage(),
		c.reach(),
		&execute.Lock{Session: &c.Session},
		&rejoin{c},
		&adaptImage{c},
		c.transfer(),
		c.writeFiles(),
		c.runPlugins(plugin.PreGuest),
		c.runCommands(command.Guests),
		c.runPlugins(plugin.PostInstall),
		c.removeLayers(),
		&saveState{c},
	}
}

// Perform runs the phases in order and stops at the first that fails.
func Perform(ctx context.Context, c *Cluster, phases []Phase) error {
	ctx, c.Abandon = context.WithCancelCause(ctx)
	defer c.Abandon(nil)
	if c.DryRun {
		c.Report.StartDryRun()
	}
	for i, p := range phases {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if held, ok := p.(closer); ok {
			defer held.Close()
		}
		c.Report.Begin(i+1, len(phases), p.Title())
		if err := p.Run(host.Doing(ctx, p.Title())); err != nil {
			return fmt.Errorf("%s: %w", p.Title(), err)
		}
	}
	return nil
}
