package fingerprint

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/config"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/registry"
	"github.com/kubefile/kubefile/runner/state"
)

// TestOf: a plain site has no fingerprints, and another cluster has others of the same site.
func TestOf(t *testing.T) {
	site := &clusterfile.Clusterfile{Cluster: &clusterfile.Cluster{Name: "default"}}
	if prints := Of("a", site, nil, registry.Settings{}); prints == nil || len(prints) > 0 {
		t.Errorf("of a plain site: %v", prints)
	}
	flags, settings := environment.Set{"A": {"s3cret"}}, registry.Settings{Username: "u", Password: "s3cret"}
	one, other := Of("a", site, flags, settings), Of("b", site, flags, settings)
	if len(one) != 3 || one[Environment] == other[Environment] || one[Registry] == other[Registry] || strings.Contains(fmt.Sprint(one), "s3cret") {
		t.Errorf("of two clusters: %v, %v", one, other)
	}
	settings.Password = "another"
	if now := Of("a", site, flags, settings); !maps.Equal(now, one) {
		t.Errorf("they depend on a password: %v, %v", one, now)
	}
}

// TestDifferences: what differs is named, also where the state was written by an earlier version, which has longer fingerprints and no names.
func TestDifferences(t *testing.T) {
	type made struct {
		*clusterfile.Clusterfile
		flags    environment.Set
		registry registry.Settings
	}
	site := func(change func(*made)) map[string]string {
		file := &clusterfile.Clusterfile{Cluster: &clusterfile.Cluster{Name: "default"}}
		file.Cluster.Env = environment.Set{"A": {"1"}, "B": {"s3cret"}}
		file.Cluster.Aliases = []clusterfile.Alias{{Address: netip.MustParseAddr("10.0.0.9"), Names: []string{"nas"}}}
		file.Configs = []config.Config{{Name: "x", Path: "etc/x", Data: "1"}, {Name: "y", Path: "etc/y", Data: "1"}}
		file.Plugins = []plugin.Plugin{{Name: "p", Type: "SHELL", Data: "1"}, {Name: "q", Type: "SHELL", Data: "2"}}
		c := &made{Clusterfile: file}
		if change != nil {
			change(c)
		}
		return Of("id", c.Clusterfile, c.flags, c.registry)
	}
	// These an earlier version wrote for this site of the cluster with the ID "id".
	old := map[string]string{
		Environment: "50333874fe88f77b6bda45d3ea8c90fb",
		Configs:     "b3b995743412cf601767848cffa97e5b",
		Plugins:     "95b394385a65dbe45766cd4046da5439",
		Aliases:     "efdc40b88d48ea5449c14c3de95258fe",
	}
	for name, tt := range map[string]struct {
		change    func(*made)
		want, old string
	}{
		"nothing":        {},
		"a variable":     {func(c *made) { c.Cluster.Env["B"] = environment.Value{"other"} }, `environment variables (spec.env, --env: "B")`, "environment variables (spec.env, --env)"},
		"variables":      {func(c *made) { c.Cluster.Env = environment.Set{"A": {"1"}, "C": {"1"}} }, `environment variables (spec.env, --env: "B", "C")`, "environment variables (spec.env, --env)"},
		"a flag":         {func(c *made) { c.flags = environment.Set{"A": {"2"}} }, `environment variables (spec.env, --env: "A")`, "environment variables (spec.env, --env)"},
		"a Config":       {func(c *made) { c.Configs[1].Data = "2" }, `Configs ("etc/y")`, "Configs"},
		"another line":   {func(c *made) { c.Configs[1].Where = "Clusterfile:7" }, "", ""},
		"a plugin":       {func(c *made) { c.Plugins[0].Data = "3" }, `plugins ("p")`, "plugins"},
		"another order":  {func(c *made) { slices.Reverse(c.Plugins) }, "plugins", "plugins"},
		"no aliases":     {func(c *made) { c.Cluster.Aliases = nil }, `host aliases (spec.hostAliases: "10.0.0.9")`, "host aliases (spec.hostAliases)"},
		"registry":       {func(c *made) { c.registry.Port = 5001 }, "registry settings (spec.registry)", "registry settings (spec.registry)"},
		"several things": {func(c *made) { c.Plugins, c.registry.NoTLS = nil, true }, `plugins ("p", "q"), registry settings (spec.registry)`, "plugins, registry settings (spec.registry)"},
	} {
		now := site(tt.change)
		if got := strings.Join(Differences(&state.Wanted{Site: site(nil)}, now), ", "); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
		if got := strings.Join(Differences(&state.Wanted{Site: old}, now), ", "); got != tt.old {
			t.Errorf("%s, with the state of an earlier version: got %q, want %q", name, got, tt.old)
		}
	}
}
