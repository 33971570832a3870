package phase

import (
	"slices"
	"testing"

	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/registry"
)

// Scripts learn that kube-proxy needs modules of the kernel. What commands depend on stays the same.
func TestProxyModeInTheEnvironment(t *testing.T) {
	for mode, want := range map[string]string{"ipvs": "ipvs", "iptables": "", "nftables": ""} {
		c := site(t, 1, nil)
		c.Artifact = artifact(t)
		var err error
		c.kubeadm, err = kubeadm.Parse([]byte("apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: " + mode + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.environment(c.First())["KUBE_PROXY_MODE"].String(); got != want {
			t.Errorf("%s: KUBE_PROXY_MODE is %q, want %q", mode, got, want)
		}
		if got := c.clusterEnvironment()["KUBE_PROXY_MODE"]; got != nil {
			t.Errorf("%s: commands depend on KUBE_PROXY_MODE %q", mode, got)
		}
	}
}

func TestSettingsInTheEnvironmentAndTheHostsFile(t *testing.T) {
	c := site(t, 1, bare(t))
	c.Artifact, c.Registry = artifact(t), registry.Settings{Domain: "hub.site", Port: 5001}
	if env := c.environment(c.First()).Variables(); env["REGISTRY_DOMAIN"] != "hub.site" || env["REGISTRY_PORT"] != "5001" {
		t.Errorf("the environment is %v", env)
	}
	if lines := c.names(c.First()); !slices.Contains(lines, "127.0.0.1 hub.site") {
		t.Errorf("the hosts file is %q", lines)
	}
	if s := c.checked(t.Context(), nil, nil); s.RegistryPort != 5001 {
		t.Errorf("checked for the port %d, want 5001", s.RegistryPort)
	}
}
