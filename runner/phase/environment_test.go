package phase

import (
	"slices"
	"testing"

	"github.com/kubefile/kubefile/runner/registry"
)

func TestSettingsInTheEnvironmentAndTheHostsFile(t *testing.T) {
	c := site(t, 1, bare(t))
	c.Artifact, c.Registry = artifact(t), registry.Settings{Domain: "hub.site", Port: 5001}
	if env := c.environment(c.First()).Variables(); env["REGISTRY_DOMAIN"] != "hub.site" || env["REGISTRY_PORT"] != "5001" {
		t.Errorf("the environment is %v", env)
	}
	if lines := c.hostsFile().Lines(c.First()); !slices.Contains(lines, "127.0.0.1 hub.site") {
		t.Errorf("the hosts file is %q", lines)
	}
	if s := c.checkHosts().Observed(t.Context(), nil, nil); s.RegistryPort != 5001 {
		t.Errorf("checked for the port %d, want 5001", s.RegistryPort)
	}
}
