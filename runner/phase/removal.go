package phase

import (
	"context"

	"github.com/kubefile/kubefile/registryproxy"
	"github.com/kubefile/kubefile/runner/balancer"
	"github.com/kubefile/kubefile/runner/clean"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/leave"
	"github.com/kubefile/kubefile/runner/network"
	"github.com/kubefile/kubefile/runner/plugin"
)

// Removal is everything that leaves the hosts as they were before.
func Removal(c *Cluster) []Phase {
	return []Phase{
		c.reach(),
		&clean.Prove{Session: &c.Session, Store: &c.Store, Removal: &c.removal},
		&execute.Lock{Session: &c.Session},
		c.loadInstructions(),
		c.runPlugins(plugin.PreClean),
		c.cleanHosts(),
		c.runPlugins(plugin.PostClean),
		c.verifyCleanup(),
	}
}

// Departure is everything that takes single hosts out of a cluster, and leaves them as they were before.
func Departure(c *Cluster, leaving leave.Hosts) []Phase {
	part := new(Cluster) // whose hosts are those that leave
	*part = *c
	d := &leave.Departure{
		Session: &c.Session, Store: &c.Store, Plugins: c.Site.Plugins, Leaving: leaving, Part: &part.Session, Removal: &part.removal,
	}
	runPlugins := func(action plugin.Action) Phase {
		p := part.runPlugins(action)
		p.Store = &c.Store
		return p
	}
	return []Phase{
		&leave.Reach{Departure: d, Inventory: &c.Inventory, Unreached: &c.unreached},
		&leave.Check{Departure: d},
		&execute.Lock{Session: &c.Session, Also: &part.Session},
		&leave.Record{Departure: d},
		part.loadInstructions(),
		&leave.Drain{Departure: d},
		runPlugins(plugin.PreClean),
		&leave.RemoveMembers{Departure: d},
		&leave.DeleteNodes{Departure: d},
		&leave.UpdateRest{Departure: d},
		part.cleanHosts(),
		runPlugins(plugin.PostClean),
		part.verifyCleanup(),
		&leave.Forget{Departure: d},
	}
}

// DepartureChecks are the phases of a [Departure] that come before the first change: they tell whether it is refused.
func DepartureChecks(c *Cluster, leaving leave.Hosts) []Phase { return Departure(c, leaving)[:2] }

// instruct notes on a host what its removal has to know. Application images are removed with the cluster.
func (c *Cluster) instruct(ctx context.Context, m *execute.Member) error {
	if c.App != "" {
		return nil
	}
	return clean.WriteInstructions(ctx, &c.Session, m, c.environment(m), c.image.Plugins)
}

// loadInstructions reads what the hosts know of their own removal.
func (c *Cluster) loadInstructions() *clean.LoadInstructions {
	return &clean.LoadInstructions{
		Session: &c.Session, Given: c.Site.Plugins, Skip: c.SkipPlugins, Plugins: &c.image.Plugins, Kubeadm: &c.kubeadm,
	}
}

// cleanHosts leaves the hosts as they were.
func (c *Cluster) cleanHosts() *clean.Clean {
	units := []string{registryproxy.Unit, balancer.Unit, network.RouteUnit}
	return &clean.Clean{Session: &c.Session, Units: units, Environment: c.environment, Removal: &c.removal}
}

// verifyCleanup says what is not clean.
func (c *Cluster) verifyCleanup() *clean.Verify {
	return &clean.Verify{Session: &c.Session, Removal: &c.removal, Unknown: &c.unknown, Unreached: &c.unreached}
}
