// Package fingerprint identifies what a site specifies and the state of its cluster does not hold, so that a later run with something else is noticed.
package fingerprint

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/config"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/registry"
	"github.com/kubefile/kubefile/runner/report"
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

// parts are these parts, what people call them, and where a site specifies them.
var parts = [...]struct{ key, name, where string }{
	{Environment, "environment variables", "spec.env, --env"},
	{Configs, "Configs", ""},
	{Plugins, "plugins", ""},
	{Registry, "registry settings", "spec.registry"},
	{Aliases, "host aliases", "spec.hostAliases"},
}

// maxNamed is how many names of a part are listed.
const maxNamed = 10

// length is that of a fingerprint, in hexadecimal digits; earlier versions wrote 32. It is short on purpose: a value of which the state has 16 bits
// only is not found by trying those of a dictionary. One change in 65,536 is not noticed.
const length = 4

// Of are the parts that the site specifies, each with a fingerprint of the whole, and of what has a name in it: those of "environment" and
// "environment/NAME". They depend on the cluster's ID, so that equal values of two clusters do not show. flags are variables of the command line,
// over those of the Clusterfile. Passwords and keys of logins are not part of the fingerprints, and neither is what concerns single hosts.
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
	for name, value := range env {
		note(printOf(Environment, name), false, value)
	}
	configs := slices.Clone(site.Configs)
	for i := range configs {
		configs[i].Where = "" // a line that moved is no other Config
	}
	note(Configs, len(configs) == 0, configs)
	for file, of := range grouped(configs, config.Config.File) {
		note(printOf(Configs, file), false, of)
	}
	var keys []string
	for _, one := range site.Plugins {
		keys = append(keys, one.Key())
		note(printOf(Plugins, one.Name), false, prints[printOf(Plugins, one.Name)]+one.Key())
	}
	note(Plugins, len(keys) == 0, keys)
	public := settings.Public()
	note(Registry, public == registry.Settings{}.Public(), public)
	aliases := site.Cluster.Aliases
	note(Aliases, len(aliases) == 0, aliases)
	for address, of := range grouped(aliases, func(a clusterfile.Alias) string { return a.Address.String() }) {
		note(printOf(Aliases, address), false, of)
	}
	return prints
}

// printOf is the key of the fingerprint of what has a name in a part.
func printOf(part, name string) string { return part + "/" + name }

// grouped is a list by name.
func grouped[T any](list []T, name func(T) string) map[string][]T {
	groups := map[string][]T{}
	for _, one := range list {
		groups[name(one)] = append(groups[name(one)], one)
	}
	return groups
}

// Differences are the parts of the site that are not as the cluster was made with, as people call them, with the names of what differs;
// of the parts in only, if there are any. A state that an earlier version wrote has no names.
func Differences(was *state.Wanted, now map[string]string, only ...string) (names []string) {
	for _, part := range parts {
		if sameFingerprint(was.Site[part.key], now[part.key]) || len(only) > 0 && !slices.Contains(only, part.key) {
			continue
		}
		details := otherNames(part.key, was.Site, now)
		if part.where != "" {
			details = strings.TrimSuffix(part.where+": "+details, ": ")
		}
		if details != "" {
			details = " (" + details + ")"
		}
		names = append(names, part.name+details)
	}
	return names
}

// otherNames lists what differs in a part, as far as both fingerprints have names.
func otherNames(part string, was, now map[string]string) string {
	has := func(prints map[string]string) bool {
		for key := range prints {
			if strings.HasPrefix(key, printOf(part, "")) {
				return true
			}
		}
		return false
	}
	if was[part] != "" && !has(was) {
		return ""
	}
	all := map[string]string{}
	maps.Copy(all, was)
	maps.Copy(all, now)
	var names []string
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if name, ok := strings.CutPrefix(key, printOf(part, "")); ok && !sameFingerprint(was[key], now[key]) {
			names = append(names, strconv.Quote(name))
		}
	}
	return report.Names(names, maxNamed)
}

// sameFingerprint compares a fingerprint of the state, which may have the length of an earlier version, with one of now.
func sameFingerprint(was, now string) bool {
	return (was == "") == (now == "") && strings.HasPrefix(was, now)
}
