// Package leave takes single hosts out of a cluster that runs: the phases of a departure, from reaching the hosts to the state without them. The
// hosts are cleaned by package clean.
package leave

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/clean"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/store"
)

// DefaultDrainTimeout is how long the pods of a node may take to move.
const DefaultDrainTimeout = 5 * time.Minute

// Hosts specifies the hosts that leave a cluster, and how.
type Hosts struct {
	Masters, Nodes []netip.Addr
	// Lost are hosts that are gone for good: nothing is done on them.
	Lost bool
	// Pruned are hosts that leave because the Clusterfile does not list them any more, after it was applied.
	Pruned bool
	// SkipDrain deletes the nodes with the pods that are on them.
	SkipDrain bool
	// DrainTimeout is how long the pods of each node may take to move; default [DefaultDrainTimeout].
	DrainTimeout time.Duration
	// LeaseWait is how long a lost host's kubelet is listened for; default that of [execute.Session.RenewedLease].
	LeaseWait time.Duration
}

// Addresses are those of all hosts that leave.
func (l Hosts) Addresses() []netip.Addr { return slices.Concat(l.Masters, l.Nodes) }

// Has reports whether a host leaves.
func (l Hosts) Has(address netip.Addr) bool {
	return slices.Contains(l.Masters, address) || slices.Contains(l.Nodes, address)
}

// Departure is a cluster, and the hosts that leave it: what the phases of this package share. [Reach] fills it.
type Departure struct {
	*execute.Session // whose members are the hosts that stay
	Store            *store.Store
	// Part has the hosts that leave as its members, as far as they were reached.
	Part *execute.Session
	// Leaving specifies which these are, and how they leave.
	Leaving Hosts
	// Removal is that of the hosts that leave: [Check] writes what was found of the cluster on them.
	Removal *clean.Removal
	// Plugins of the Clusterfile may name hosts.
	Plugins []plugin.Plugin

	leavers []*leaver
}

// leaver is a host that leaves, nodes first.
type leaver struct {
	address netip.Addr
	role    host.Role
	name    string // of its node; empty when neither the state nor the API has it
	// member is the host; nil when it is lost.
	member *execute.Member
	// survey is what was found of the cluster on the host.
	survey *hostrecord.Survey
	// alive is a host that was said to be lost and answers; nil when it does not.
	alive *execute.Member
}

func (l *leaver) String() string {
	if l.name == "" || l.name == l.address.String() {
		return l.address.String()
	}
	return fmt.Sprintf("%s (%s)", l.address, l.name)
}

func (l *leaver) isMaster() bool { return l.role == host.RoleMaster }

// flag is how the host is written on the command line.
func (l *leaver) flag() string { return host.Host{Address: l.address, Role: l.role}.Flag() }

// begin lists the hosts that leave.
func (d *Departure) begin() {
	for _, list := range []struct {
		role      host.Role
		addresses []netip.Addr
	}{{host.RoleNode, d.Leaving.Nodes}, {host.RoleMaster, d.Leaving.Masters}} {
		for _, address := range list.addresses {
			d.leavers = append(d.leavers, &leaver{address: address, role: list.role})
		}
	}
}

// leavingMasters are the masters that leave.
func (d *Departure) leavingMasters() []*leaver {
	return slices.DeleteFunc(slices.Clone(d.leavers), func(l *leaver) bool { return !l.isMaster() })
}

// leavingNames are the hosts that leave, for a person.
func (d *Departure) leavingNames() string {
	var names []string
	for _, l := range d.leavers {
		names = append(names, l.String())
	}
	return report.Names(names, report.ManyHosts)
}

// still makes sure, right before a change that cannot be undone, that a host which leaves is what it was when the run began: locked by this run
// and not in another cluster by now. A lost host must still be silent.
func (d *Departure) still(ctx context.Context, l *leaver) error {
	if d.DryRun {
		return nil
	}
	if l.member == nil {
		return d.checkLost(ctx, l)
	}
	if err := d.Refresh(ctx, l.member); err != nil {
		return err
	}
	return d.checkCluster(l)
}
