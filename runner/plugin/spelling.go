package plugin

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// spelling is what the name of an action stands for.
type spelling struct {
	action  Action
	was     string // how it was different for a SHELL plugin, where it is much the same
	instead string // says what to write, where nothing here is the same
}

// What the old tool ran for the cluster, and not for each host.
const (
	ofCluster = "ran only on the first master in sealer: write on: " + firstRole + " to keep that"
	ofJoins   = "ran on the first master in sealer, and runs on the hosts that join here"
)

// spellings are all names that actions have had, in lower case.
var spellings = map[string]spelling{
	"preinit":     {action: PreInit},
	"prejoin":     {action: PreJoin},
	"postjoin":    {action: PostJoin},
	"preguest":    {action: PreGuest},
	"postinstall": {action: PostInstall},
	"preclean":    {action: PreClean},
	"postclean":   {action: PostClean},

	// the old tool, 0.5.1 to 0.8
	"originally": {action: PreInit},

	// the old tool, 0.9 and later: of hosts, and of the cluster
	"pre-init-host":   {action: PreInit},
	"pre-clean-host":  {action: PreClean},
	"post-clean-host": {action: PostClean},
	"pre-install":     {action: PreInit, was: ofCluster},
	"post-install":    {action: PostInstall, was: ofCluster},
	"pre-scaleup":     {action: PreJoin, was: ofJoins},
	"post-scaleup":    {action: PostJoin, was: ofJoins},
	"pre-uninstall":   {action: PreClean, was: ofCluster},
	"post-uninstall":  {action: PostClean, was: ofCluster},

	// What ran at moments that are none here.
	"preinstall":     {instead: "it ran between the first master and the others: write PreJoin for hosts that join, PreGuest for all"},
	"post-init-host": {instead: "it ran on prepared hosts without a cluster: write PreJoin for hosts that join, PreGuest for all"},
	"upgrade-host":   {instead: "no plugin runs at an upgrade: put it into scripts/init.sh of the image"},
	"upgrade":        {instead: "no plugin runs at an upgrade: put it into a CMD of the image"},
	"rollback":       {instead: "there is no rollback"},
}

// parseType reads a type in any case.
func parseType(text string) (Type, error) {
	text = strings.TrimSpace(text)
	if t := Type(strings.ToUpper(text)); slices.Contains(types, t) {
		return t, nil
	}
	return "", fmt.Errorf("unknown type %q%s", text, nearest(text, types))
}

// parseActions reads actions joined by "|" or ",". It returns each once, in the order of a cluster's life, and how those that are written in
// an old way were different.
func parseActions(text string) (parsed []Action, formerly []string, err error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil, fmt.Errorf("no action: write one of %s, or several joined by |", list(actions))
	}
	for _, name := range strings.Split(strings.ReplaceAll(text, ",", "|"), "|") {
		name = strings.TrimSpace(name)
		s, known := spellings[strings.ToLower(name)]
		switch {
		case name == "":
			return nil, nil, fmt.Errorf("action %q: nothing before or after a separator", text)
		case !known:
			return nil, nil, fmt.Errorf("unknown action %q%s", name, nearest(name, actions))
		case s.instead != "":
			return nil, nil, fmt.Errorf("action %q is not supported: %s", name, s.instead)
		case s.was != "":
			formerly = append(formerly, name+" "+s.was)
		}
		parsed = append(parsed, s.action)
	}
	return slices.DeleteFunc(slices.Clone(actions), func(a Action) bool { return !slices.Contains(parsed, a) }), formerly, nil
}

// nearest is the end of a message about a name that is unknown: the known one that it looks like, or else all of them.
func nearest[S ~string](name string, known []S) string {
	if like := similar(name, known); like != "" {
		return fmt.Sprintf(": did you mean %s?", like)
	}
	return ": write one of " + list(known)
}

// similar returns the known name that a mistyped one looks like, or nothing.
func similar[S ~string](name string, known []S) (like S) {
	const longest = 64 // a longer one is not a typing error, and costly to compare
	if len(name) > longest {
		return ""
	}
	best := 3 // more changes than two are another word
	for _, k := range known {
		a, b := strings.ToLower(name), strings.ToLower(string(k))
		if d := levenshtein.Distance(a, b, nil); d < best && 2*d < len(b) {
			like, best = k, d
		}
	}
	return like
}

// list joins names for a message.
func list[S ~string](names []S) string {
	texts := make([]string, len(names))
	for i, n := range names {
		texts[i] = string(n)
	}
	return strings.Join(texts, ", ")
}

// reasons makes an error of what the validation of Kubernetes says.
func reasons(said []string) error {
	if len(said) == 0 {
		return nil
	}
	return errors.New(strings.Join(said, "; "))
}
