// Package fingerprint identifies what a site specifies and the state of its cluster does not hold, so that a later run with something else is noticed.
package fingerprint

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/registry"
	"github.com/kubefile/kubefile/runner/state"
)

// The parts of a site that the state does not hold, because they may be secrets or large.
const (
	Environment = "environment"
	Configs     = "configs"
	Plugins     = "plugins"
	Registry    = "registry"
	Aliases     = "hostAliases"
)

// parts are these parts, and what people call them.
var parts = [...]struct{ key, name string }{
	{Environment, "environment variables (spec.env, --env)"},
	{Configs, "Configs"},
	{Plugins, "plugins"},
	{Registry, "registry settings (spec.registry)"},
	{Aliases, "host aliases (spec.hostAliases)"},
}

// length is that of a fingerprint, in hexadecimal digits.
const length = 32

// Of are the parts that the site specifies, each with a fingerprint that depends on the cluster's ID, so that equal values of two clusters do not
// show. flags are variables of the command line, over those of the Clusterfile. Passwords and keys are not part of the fingerprints, and neither is
// what concerns single hosts.
func Of(id string, site *clusterfile.Clusterfile, flags environment.Set, settings registry.Settings) map[string]string {
	prints := map[string]string{}
	note := func(part string, empty bool, value any) {
		if empty {
			return
		}
		data, err := json.Marshal(value)
		if err != nil {
			panic(err) // strings, numbers and lists of them can be encoded
		}
		prints[part] = digest.FromString(fmt.Sprintf("%s %s %s", id, part, data)).Encoded()[:length]
	}
	env := environment.Merge(site.Cluster.Env.Exported(), flags.Exported())
	note(Environment, len(env) == 0, env)
	configs := slices.Clone(site.Configs)
	for i := range configs {
		configs[i].Where = "" // a line that moved is no other Config
	}
	note(Configs, len(configs) == 0, configs)
	var keys []string
	for _, one := range site.Plugins {
		keys = append(keys, one.Key())
	}
	note(Plugins, len(keys) == 0, keys)
	public := settings.Public()
	note(Registry, public == registry.Settings{}.Public(), public)
	note(Aliases, len(site.Cluster.Aliases) == 0, site.Cluster.Aliases)
	return prints
}

// Differences are the parts of the site that are not as the cluster was made with, as people call them; of the parts in only, if there are any.
func Differences(was *state.Wanted, now map[string]string, only ...string) (names []string) {
	for _, part := range parts {
		if was.Site[part.key] != now[part.key] && (len(only) == 0 || slices.Contains(only, part.key)) {
			names = append(names, part.name)
		}
	}
	return names
}
