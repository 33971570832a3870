package phase

import (
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
