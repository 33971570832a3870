package application

import (
	"regexp"
	"slices"
	"strings"
)

// reference is a variable as the commands of containers name it in Kubernetes, and files written for sealos do.
var reference = regexp.MustCompile(`\$\(([A-Za-z_][A-Za-z0-9_]*)\)`)

// references writes $(NAME) as ${NAME} where NAME is a variable of the environment. To a shell it would be a program to run, and none is
// called like a variable that the same file sets.
func references(line string, env []string) string {
	return reference.ReplaceAllStringFunc(line, func(found string) string {
		name := found[2 : len(found)-1]
		if slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, name+"=") }) {
			return "${" + name + "}"
		}
		return found
	})
}
