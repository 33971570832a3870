package phase

import (
	"context"
	"time"

	"github.com/kubefile/kubefile/runner/command"
	"github.com/kubefile/kubefile/runner/deliver"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/join"
	"github.com/kubefile/kubefile/runner/membership"
	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/reach"
	"github.com/kubefile/kubefile/runner/reconfigure"
	"github.com/kubefile/kubefile/runner/registry"
	"github.com/kubefile/kubefile/runner/state"
)

// registryService is the phase that starts the registry.
func (c *Cluster) registryService() *registry.Service {
	return &registry.Service{Session: &c.Session, Settings: c.Registry, Artifact: c.Artifact, Store: &c.Store}
}

// reconfigure applies other settings of Kubernetes.
func (c *Cluster) reconfigure() *reconfigure.Phase {
	return &reconfigure.Phase{
		Session: &c.Session, Store: &c.Store, Settings: &c.settings, Kubeadm: &c.kubeadm, Kubernetes: c.imageKubernetes(),
		Environment: c.environment, HealthWait: c.healthWait,
	}
}

// installAgent copies the runner of the image to the hosts.
func (c *Cluster) installAgent() *deliver.InstallAgent {
	return &deliver.InstallAgent{Session: &c.Session, Artifact: c.Artifact, Store: &c.Store}
}

// transfer brings the layers of the image to the hosts.
func (c *Cluster) transfer() *deliver.Transfer {
	return &deliver.Transfer{Session: &c.Session, Artifact: c.Artifact}
}

// writeFiles writes the site's files, and what a removal has to know.
func (c *Cluster) writeFiles() *deliver.WriteFiles {
	return &deliver.WriteFiles{Session: &c.Session, Artifact: c.Artifact, Image: &c.image, Instruct: c.instruct}
}

// removeLayers removes what no image needs any longer.
func (c *Cluster) removeLayers() *deliver.RemoveLayers {
	return &deliver.RemoveLayers{Session: &c.Session, Artifact: c.Artifact, Store: &c.Store, Removed: &c.layersRemoved}
}

// runScripts runs the scripts of the image that prepare hosts.
func (c *Cluster) runScripts() *command.RunScripts {
	return &command.RunScripts{Session: &c.Session, Image: &c.image, Environment: c.environment}
}

// runPlugins runs the plugins of an action.
func (c *Cluster) runPlugins(action plugin.Action) *command.RunPlugins {
	return &command.RunPlugins{
		Session: &c.Session, Action: action, Plugins: &c.image.Plugins, Store: &c.Store, Environment: c.environment, Limit: c.CommandLimit,
		Works: func(ctx context.Context, patience time.Duration) error { return c.works(ctx, patience, true) },
		Dirty: func(m *execute.Member) bool { return c.removal.Dirty[m] },
	}
}

// runCommands runs the commands of the image.
func (c *Cluster) runCommands(stage command.Stage) *command.RunCommands {
	return &command.RunCommands{
		Session: &c.Session, Stage: stage, Artifact: c.Artifact, Site: c.Site, Store: &c.Store, Variables: c.variables, Limit: c.CommandLimit,
	}
}

// reach connects to the hosts of a cluster that exists. A run without an image removes all of them.
func (c *Cluster) reach() *reach.Cluster {
	return &reach.Cluster{
		Session: &c.Session, Store: &c.Store, Inventory: &c.Inventory, Plugins: c.Site.Plugins, WholeCluster: c.Artifact == nil,
		Unreached: &c.unreached, Unknown: &c.unknown,
	}
}

// membership decides what the hosts of the run are. It keeps what it notes for the whole run.
func (c *Cluster) membership() *membership.Examiner {
	if c.inState == nil {
		c.inState = map[*execute.Member]bool{}
	}
	return &membership.Examiner{Session: &c.Session, Store: &c.Store, InState: c.inState, LeaseWait: c.leaseWait, EtcdWait: c.etcdWait}
}

// runKubeadm is what the phases share that run kubeadm.
func (c *Cluster) runKubeadm() *join.Kubeadm {
	return &join.Kubeadm{
		Session: &c.Session, Store: &c.Store, Examiner: c.membership(), Documents: &c.kubeadm, Plugins: &c.image.Plugins,
		Kubernetes: c.imageKubernetes(), Environment: c.environment,
	}
}

// imageKubernetes is the version of Kubernetes in the image.
func (c *Cluster) imageKubernetes() string {
	if c.Artifact == nil {
		return ""
	}
	return c.Artifact.Description.KubernetesVersion
}

// hostsFile gives every host the names of the cluster.
func (c *Cluster) hostsFile() *join.HostsFile {
	return &join.HostsFile{Session: &c.Session, Store: &c.Store, Domain: c.Registry.WithDefaults().Domain, Site: c.Site}
}

// controlPlane makes the first control plane.
func (c *Cluster) controlPlane() *join.ControlPlane {
	return &join.ControlPlane{Kubeadm: c.runKubeadm(), Note: c.noteKubeadm, HealthWait: c.healthWait}
}

// joinMasters makes the other masters join.
func (c *Cluster) joinMasters() *join.Masters { return &join.Masters{Kubeadm: c.runKubeadm()} }

// apiProxy gives every node a load balancer over the API servers.
func (c *Cluster) apiProxy() *join.APIProxy {
	return &join.APIProxy{Session: &c.Session, Store: &c.Store}
}

// joinNodes makes the nodes join.
func (c *Cluster) joinNodes() *join.Nodes { return &join.Nodes{Kubeadm: c.runKubeadm()} }

// checkJoining makes sure that the cluster is the one that a run was made for that adds hosts.
func (c *Cluster) checkJoining() *join.Check {
	return &join.Check{Session: &c.Session, Store: &c.Store, Site: c.Site, Env: c.Env, Registry: c.Registry, Artifact: c.Artifact}
}

// CheckJoining refuses hosts that would not become what the others are, since the site differs from the one that the cluster was made with.
func (c *Cluster) CheckJoining(s *state.State) error {
	_, err := c.checkJoining().Unlike(s)
	return err
}
