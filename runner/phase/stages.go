package phase

import (
	"context"
	"time"

	"github.com/kubefile/kubefile/runner/command"
	"github.com/kubefile/kubefile/runner/deliver"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/reach"
	"github.com/kubefile/kubefile/runner/reconfigure"
	"github.com/kubefile/kubefile/runner/registry"
)

// registryService is the stage that starts the registry.
func (c *Cluster) registryService() *registry.Service {
	return &registry.Service{Session: &c.Session, Settings: c.Registry, Artifact: c.Artifact, Store: &c.Store}
}

// reconfigure applies other settings of Kubernetes.
func (c *Cluster) reconfigure() *reconfigure.Stage {
	stage := &reconfigure.Stage{Session: &c.Session, Store: &c.Store, Settings: &c.settings, Kubeadm: &c.kubeadm, Environment: c.environment, HealthWait: c.healthWait}
	if c.Artifact != nil {
		stage.Kubernetes = c.Artifact.Description.KubernetesVersion
	}
	return stage
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
	return &deliver.WriteFiles{Session: &c.Session, Artifact: c.Artifact, Image: &c.image, Instruct: c.farewell}
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
		Dirty: func(m *execute.Member) bool { return c.dirty[m] },
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
