package phase

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/registry"
	"github.com/kubefile/kubefile/runner/state"
)

// The parts of a site that the state does not hold, because they may be secrets or large.
const (
	siteEnvironment = "environment"
	siteConfigs     = "configs"
	sitePlugins     = "plugins"
	siteRegistry    = "registry"
	siteAliases     = "hostAliases"
)

// siteParts are these parts, and what people call them.
var siteParts = [...]struct{ key, name string }{
	{siteEnvironment, "environment variables (spec.env, --env)"},
	{siteConfigs, "Configs"},
	{sitePlugins, "plugins"},
	{siteRegistry, "registry settings (spec.registry)"},
	{siteAliases, "host aliases (spec.hostAliases)"},
}

// fingerprintLength is that of a fingerprint, in hexadecimal digits.
const fingerprintLength = 32

// siteFingerprints are the parts that the site specifies, each with a fingerprint that depends on the cluster's ID, so that equal values of
// two clusters do not show. Passwords and keys are not part of them, and neither is what concerns single hosts.
func (c *Cluster) siteFingerprints(id string) map[string]string {
	prints := map[string]string{}
	note := func(part string, empty bool, value any) {
		if empty {
			return
		}
		data, err := json.Marshal(value)
		if err != nil {
			panic(err) // strings, numbers and lists of them can be encoded
		}
		prints[part] = digest.FromString(fmt.Sprintf("%s %s %s", id, part, data)).Encoded()[:fingerprintLength]
	}
	env := environment.Merge(c.Site.Cluster.Env.Exported(), c.Env.Exported())
	note(siteEnvironment, len(env) == 0, env)
	configs := slices.Clone(c.Site.Configs)
	for i := range configs {
		configs[i].Where = "" // a line that moved is no other Config
	}
	note(siteConfigs, len(configs) == 0, configs)
	var keys []string
	for _, one := range c.Site.Plugins {
		keys = append(keys, one.Key())
	}
	note(sitePlugins, len(keys) == 0, keys)
	settings := c.Registry.Public()
	note(siteRegistry, settings == registry.Settings{}.Public(), settings)
	note(siteAliases, len(c.Site.Cluster.Aliases) == 0, c.Site.Cluster.Aliases)
	return prints
}

// otherParts are the parts of the site that are not as the cluster was made with, as people call them.
func otherParts(was *state.Wanted, now map[string]string, only ...string) (names []string) {
	for _, part := range siteParts {
		if was.Site[part.key] != now[part.key] && (len(only) == 0 || slices.Contains(only, part.key)) {
			names = append(names, part.name)
		}
	}
	return names
}
