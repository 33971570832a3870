package adapt

import (
	"strconv"
	"strings"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/registry"
)

// Variables are what the environment of scripts, plugins, templates and commands is made of.
type Variables struct {
	Cluster string // its name
	// Image is that of the run; nil when a cluster is removed.
	Image *imagespec.Description
	// Kubernetes is the version of the cluster, empty when it is removed.
	Kubernetes string
	Registry   registry.Settings
	Kubeadm    kubeadm.Documents
	// Site is what the site says of the cluster, and Over goes over all other, as the command line does.
	Site, Over environment.Set
}

// On is what scripts, plugins, templates and commands on a host see: the image's ENV, under what the host is, under what the
// site says of the cluster, of the host, and on the command line. Each is exported before the next goes over it, so that docker-dir of
// the Clusterfile also wins over docker_dir of the image.
func (v Variables) On(m *execute.Member) environment.Set {
	return environment.Merge(v.ofImage().Exported(), v.own(m), v.Site.Exported(), m.Site.Env.Exported(), v.Over.Exported())
}

// Everywhere is what of it is the same on every host, without the image's.
func (v Variables) Everywhere() environment.Set {
	own := v.own(&execute.Member{})
	for name := range own {
		if strings.HasPrefix(name, "HOST_") || name == "HostIP" || name == "KUBEFILE_ROOTFS" || name == "KUBE_PROXY_MODE" {
			delete(own, name)
		}
	}
	return environment.Merge(own, v.Site, v.Over)
}

func (v Variables) ofImage() environment.Set {
	if v.Image == nil {
		return nil
	}
	image, _ := environment.Parse(v.Image.Env) // a variable that is none has been refused when the image was checked
	return image
}

// own are the variables that describe host and cluster.
func (v Variables) own(m *execute.Member) environment.Set {
	settings := v.Registry.WithDefaults()
	domain, port := settings.Domain, strconv.Itoa(int(settings.Port))
	own := environment.Set{
		"KUBEFILE_ROOTFS":     {m.Rootfs()},
		"KUBEFILE_CLUSTER":    {v.Cluster},
		"KUBERNETES_VERSION":  {v.Kubernetes},
		"HOST_IP":             {m.Host.Address.String()},
		"HOST_NAME":           {m.Name},
		"HOST_ROLE":           {string(m.Host.Role)},
		"API_ENDPOINT":        {execute.Endpoint},
		"REGISTRY_DOMAIN":     {domain},
		"REGISTRY_PORT":       {port},
		"POD_SUBNET":          {v.Kubeadm.PodSubnet()},
		"SERVICE_SUBNET":      {v.Kubeadm.ServiceSubnet()},
		"CLUSTER_DNS_ADDRESS": {v.Kubeadm.DNSAddress()},
	}
	if mode := v.Kubeadm.ProxyMode(); mode == "ipvs" { // which needs modules of the kernel
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
