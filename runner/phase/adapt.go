package phase

import (
	"context"
	"errors"
	"fmt"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/adapt"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/plugin"
)

// adaptImage works out what this site makes of the image, and compares that with what a cluster that is running has. It changes nothing.
type adaptImage struct{ *Cluster }

func (*adaptImage) Title() string { return "Adapt the image to the site" }

func (p *adaptImage) Run(ctx context.Context) error {
	adapter, err := p.adapter(ctx)
	if err != nil {
		return err
	}
	// What templates may ask of the network is in the documents, which may themselves come from a template.
	if p.kubeadm, err = adapter.Documents(); err != nil {
		return err
	}
	if err := p.unchanged(ctx); err != nil {
		return err
	}
	if p.image, err = adapter.Image(p.kubeadm); err != nil {
		return err
	}
	return p.unapplied(ctx)
}

// unchanged refuses other networks than those that a running cluster was made with: what is derived from them, as the manifests of the
// network plugin, would contradict the cluster.
func (p *adaptImage) unchanged(ctx context.Context) error {
	if p.Artifact.Description.Kind != imagespec.KindCluster || !p.Running() {
		return nil
	}
	was, err := p.Configured(ctx)
	if err != nil || was == nil {
		return err
	}
	var failed []error
	for _, network := range []struct{ field, was, now string }{
		{"podSubnet", was.PodSubnet(), p.kubeadm.PodSubnet()},
		{"serviceSubnet", was.ServiceSubnet(), p.kubeadm.ServiceSubnet()},
		{"dnsDomain", was.DNSDomain(), p.kubeadm.DNSDomain()},
	} {
		if network.was != network.now {
			failed = append(failed, fmt.Errorf("networking.%s cannot change on a running cluster (have %q, want %q)",
				network.field, network.was, network.now))
		}
	}
	return errors.Join(failed...)
}

// adapter adapts the image to the site. The files of the image are read once.
func (c *Cluster) adapter(ctx context.Context) (*adapt.Adapter, error) {
	adapter := &adapt.Adapter{Session: &c.Session, Artifact: c.Artifact, Site: c.Site, Files: c.image.Files, Variables: c.variables(), Hosts: c.pluginHosts()}
	if adapter.Files == nil {
		var err error
		if adapter.Files, err = adapter.Read(ctx); err != nil {
			return nil, err
		}
		c.image.Files = adapter.Files
	}
	return adapter, nil
}

// pluginHosts are the hosts of the cluster as plugins select them, with those that were not named or do not answer.
func (c *Cluster) pluginHosts() []plugin.Host {
	var hosts []plugin.Host
	for _, m := range c.Members {
		hosts = append(hosts, c.PluginHost(m))
	}
	for _, other := range c.Others(&c.Session) {
		h := plugin.Host{Address: other.Address, Roles: []string{other.Role}}
		for _, named := range c.Hosts {
			if named.Login.Address == other.Address {
				h.Roles = append(h.Roles, named.Site.Roles...)
			}
		}
		hosts = append(hosts, h)
	}
	return hosts
}

// variables are what the environment on the hosts is made of.
func (c *Cluster) variables() adapt.Variables {
	v := adapt.Variables{Cluster: c.Name, Registry: c.Registry, Kubeadm: c.kubeadm, Site: c.Site.Cluster.Env, Over: c.Env}
	if c.Artifact != nil {
		v.Image, v.Kubernetes = c.Artifact.Description, c.kubernetesVersion()
	}
	return v
}

// environment is what scripts, plugins and commands see on a host.
func (c *Cluster) environment(m *execute.Member) environment.Set { return c.variables().On(m) }

// kubernetesVersion is the cluster's: that of its image, or for an application that of the cluster it comes to.
func (c *Cluster) kubernetesVersion() string {
	if c.Artifact.Description.Kind == imagespec.KindCluster || c.State == nil {
		return c.Artifact.Description.KubernetesVersion
	}
	return c.State.KubernetesVersion
}
