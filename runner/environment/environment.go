// Package environment is what scripts, commands and templates of a cluster image see: variables in a fixed precedence, and the files
// that are rendered from them.
package environment

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
)

// Set is an environment by name.
type Set map[string]string

// Parse reads "name=value" pairs. A name may be anything that a process can have, such as "docker-dir", not only a shell identifier.
func Parse(pairs []string) (Set, error) {
	set := Set{}
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" || name[0] == '-' || strings.ContainsAny(name, "\n\x00") || strings.ContainsRune(value, 0) {
			// The value stays out of the message: it may be a secret.
			return nil, fmt.Errorf("environment variable %q: write it as name=value", name)
		}
		set[name] = value
	}
	return set, nil
}

// Merge returns a set in which later sets win over earlier ones.
func Merge(sets ...Set) Set {
	merged := Set{}
	for _, set := range sets {
		maps.Copy(merged, set)
	}
	return merged
}

var notIdentifier = regexp.MustCompile(`[^A-Za-z0-9_]`)

// Exported returns the set with, beside each name that no shell can say, the same with underscores: "docker-dir" is docker_dir too.
// A variable that has that name itself wins.
func (s Set) Exported() Set {
	exported := Set{}
	for name, value := range s {
		alias := notIdentifier.ReplaceAllString(name, "_")
		if alias[0] >= '0' && alias[0] <= '9' {
			alias = "_" + alias
		}
		exported[alias] = value
	}
	maps.Copy(exported, s)
	return exported
}
