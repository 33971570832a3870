package phase

import (
	"strconv"
	"strings"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/execute"
)

// environment is what scripts, plugins, templates and commands on a host see: the image's ENV, under what the host is, under what the
// site says of the cluster, of the host, and on the command line. Each is exported before the next goes over it, so that docker-dir of
// the Clusterfile also wins over docker_dir of the image.
func (c *Cluster) environment(m *execute.Member) environment.Set {
	return environment.Merge(c.imageEnvironment().Exported(), c.own(m), c.Site.Cluster.Env.Exported(), m.Site.Env.Exported(), c.Env.Exported())
}

// clusterEnvironment is what of it is the same on every host.
func (c *Cluster) clusterEnvironment() environment.Set {
	own := c.own(&execute.Member{})
	for name := range own {
		if strings.HasPrefix(name, "HOST_") || name == "HostIP" || name == "KUBEFILE_ROOTFS" || name == "KUBE_PROXY_MODE" {
			delete(own, name)
		}
	}
	return environment.Merge(own, c.Site.Cluster.Env, c.Env)
}

func (c *Cluster) imageEnvironment() environment.Set {
	if c.Artifact == nil {
		return nil
	}
	image, _ := environment.Parse(c.Artifact.Description.Env) // a variable that is none has been refused by checkArtifact
	return image
}

// own are the variables that describe host and cluster.
func (c *Cluster) own(m *execute.Member) environment.Set {
	version := ""
	if c.Artifact != nil {
		version = c.kubernetesVersion()
	}
	settings := c.Registry.WithDefaults()
	domain, port := settings.Domain, strconv.Itoa(int(settings.Port))
	own := environment.Set{
		"KUBEFILE_ROOTFS":     {m.Rootfs()},
		"KUBEFILE_CLUSTER":    {c.Name},
		"KUBERNETES_VERSION":  {version},
		"HOST_IP":             {m.Host.Address.String()},
		"HOST_NAME":           {m.Name},
		"HOST_ROLE":           {string(m.Host.Role)},
		"API_ENDPOINT":        {endpoint},
		"REGISTRY_DOMAIN":     {domain},
		"REGISTRY_PORT":       {port},
		"POD_SUBNET":          {c.kubeadm.PodSubnet()},
		"SERVICE_SUBNET":      {c.kubeadm.ServiceSubnet()},
		"CLUSTER_DNS_ADDRESS": {c.kubeadm.DNSAddress()},
	}
	if mode := c.kubeadm.ProxyMode(); mode == "ipvs" { // which needs modules of the kernel
		own["KUBE_PROXY_MODE"] = environment.Value{mode}
	}
	// Scripts and templates of older images know some of them by other names.
	for old, name := range map[string]string{
		"HostIP": "HOST_IP", "RegistryDomain": "REGISTRY_DOMAIN", "RegistryPort": "REGISTRY_PORT", "PodCIDR": "POD_SUBNET",
		"SvcCIDR": "SERVICE_SUBNET", "DNSSvcIP": "CLUSTER_DNS_ADDRESS",
	} {
		own[old] = own[name]
	}
	own["RegistryURL"] = environment.Value{domain + ":" + port}
	return own
}

// kubernetesVersion is the cluster's: that of its image, or for an application that of the cluster it comes to.
func (c *Cluster) kubernetesVersion() string {
	if c.Artifact.Description.Kind == imagespec.KindCluster || c.State == nil {
		return c.Artifact.Description.KubernetesVersion
	}
	return c.State.KubernetesVersion
}
