package phase

import "github.com/kubefile/kubefile/runner/registry"

// registryService is the stage that starts the registry.
func (c *Cluster) registryService() *registry.Service {
	return &registry.Service{Session: &c.Session, Settings: c.Registry, Artifact: c.Artifact, Store: &c.Store}
}
