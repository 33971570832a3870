package phase

import (
	"context"
	"time"

	"github.com/kubefile/kubefile/runner/adapt"
	"github.com/kubefile/kubefile/runner/clean"
	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/deliver"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/reach"
	"github.com/kubefile/kubefile/runner/reconfigure"
	"github.com/kubefile/kubefile/runner/registry"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/state"
	"github.com/kubefile/kubefile/runner/store"
)

// Cluster is what a run is given, and what its phases hand on. The phases themselves are given only what they need of it.
type Cluster struct {
	execute.Session
	store.Store
	reach.Inventory

	// Site is what the Clusterfile, or flags in its place, say.
	Site     *clusterfile.Clusterfile
	Env      environment.Set // over all other
	Registry registry.Settings
	Artifact *source.Artifact // nil when a cluster is removed
	// Before is what the same dry run would have done before: an application's cluster, which is not there yet.
	Before *Cluster
	// FindApp is asked for each application image of the cluster that masters of this run lack, and reports whether it can be brought to them
	// after the run; nil where they are not looked for. LackedApps are those that can.
	FindApp    func(context.Context, state.App) (bool, error)
	LackedApps []deliver.LackedApp
	// SkipPlugins leaves out the plugins of a removal.
	SkipPlugins bool
	// CommandLimit is how long each command of the image, or script of a plugin, may run; default [command.DefaultLimit].
	CommandLimit time.Duration

	found
	waits
}

// found is what phases find out for those that come after them.
type found struct {
	image     adapt.Image // what the site makes of the image
	kubeadm   kubeadm.Documents
	settings  reconfigure.Settings // that change on a running cluster
	unreached []host.Report
	unknown   []error // nodes of which a removal knows no host
	removal   clean.Removal
	// inState are the hosts that the cluster's state had when the run began, which [membership.Examiner] notes.
	inState map[*execute.Member]bool
	// layersRemoved says that all hosts have only the layers that they keep.
	layersRemoved bool
}

// waits are how long a run waits at most, where a test has no time for that. 0: as long as the phase does by itself.
type waits struct {
	leaseWait  time.Duration // for the kubelet of a host that comes back empty
	etcdWait   time.Duration // for etcd's members on hosts that have joined
	healthWait time.Duration // for what was started again with other settings
}

// recall reads the state, and names the nodes by it.
func (c *Cluster) recall(ctx context.Context) error {
	return c.Recall(ctx, &c.Session, c.Site.Plugins)
}

// settleNames names the nodes by the state.
func (c *Cluster) settleNames() { c.SettleNames(&c.Session, c.Site.Plugins) }
