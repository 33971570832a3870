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

// Cluster is what the phases work on.
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
	// CommandLimit is how long each command of the image, or script of a plugin, may run; default [DefaultCommandLimit].
	CommandLimit time.Duration

	image     adapt.Image // what the site makes of the image
	kubeadm   kubeadm.Documents
	settings  reconfigure.Settings // that change on a running cluster
	unreached []host.Report
	removal   clean.Removal
	// inState are the hosts that the cluster's state had when the run began, which [membership.Examiner] notes.
	inState map[*execute.Member]bool
	unknown []error // nodes of which a removal knows no host
	// layersRemoved says that all hosts have only the layers that they keep.
	layersRemoved bool
	// leaseWait is how long the kubelet of a host that comes back empty is listened for; default leaseWait.
	leaseWait time.Duration
	// etcdWait is how long etcd's members on hosts that have joined may take to answer; default that of [membership.Examiner].
	etcdWait time.Duration
	// healthWait is how long what was started again with other settings may take to be healthy; default podPatience, nodePatience, servedPatience.
	healthWait time.Duration
}
