// Package plugin is what a document of kind Plugin means: when it runs, on which hosts, and what its data asks for. It is data only:
// nothing here reaches a host.
package plugin

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Type is what a plugin does.
type Type string

const (
	// Hostname names hosts: lines of address and name.
	Hostname Type = "HOSTNAME"
	// Shell runs its data as a script in the rootfs directory of each host.
	Shell Type = "SHELL"
	// Label changes the labels of nodes: lines of addresses and labels.
	Label Type = "LABEL"
	// Taint changes the taints of nodes: lines of addresses and taints.
	Taint Type = "TAINT"
	// ClusterCheck waits until the cluster works, as long as its data says.
	ClusterCheck Type = "CLUSTERCHECK"
)

// types are all of them, for messages.
var types = []Type{Hostname, Shell, Label, Taint, ClusterCheck}

// Action is a moment at which plugins run.
type Action string

const (
	PreInit     Action = "PreInit"     // before anything is installed on a host
	PreJoin     Action = "PreJoin"     // before a host joins the cluster
	PostJoin    Action = "PostJoin"    // after it has joined
	PreGuest    Action = "PreGuest"    // between a ready cluster and the image's commands
	PostInstall Action = "PostInstall" // at the end of an installation
	PreClean    Action = "PreClean"    // before a host is taken out of the cluster
	PostClean   Action = "PostClean"   // after that
)

// actions are all of them, in the order of a cluster's life.
var actions = []Action{PreInit, PreJoin, PostJoin, PreGuest, PostInstall, PreClean, PostClean}

// clusterUp are the actions at which a host has a node that can be asked for and changed.
var clusterUp = []Action{PostJoin, PreGuest, PostInstall, PreClean}

// possible are the actions of the types that do not run at every one: a node is named before it joins, there after that, and ready once
// the network has started, which comes after PostJoin.
var possible = map[Type][]Action{
	Hostname: {PreInit, PreJoin}, Label: clusterUp, Taint: clusterUp, ClusterCheck: {PreGuest, PostInstall, PreClean},
}

// Plugin is one document.
type Plugin struct {
	Name    string   // of the document, for people
	Type    Type     // what it does
	Actions []Action // when, at least one, in the order of a cluster's life
	On      On       // on which hosts
	Data    string   // what exactly; its form is the type's
	Where   string   // "Clusterfile:12", or "plugins/x.yaml:3 of the image"
	// FromImage tells a plugin that came with the image, which knows no site, from one of the Clusterfile. New leaves it false.
	FromImage bool
}

// New makes a plugin from the fields of a document as they are written, in any historical spelling. Warnings and errors begin with
// where. The data is not looked at; see [Plugin.Check].
func New(where, name, typ, action, on, data string) (p Plugin, warnings []string, err error) {
	p = Plugin{Name: name, Data: data, Where: where}
	warn := func(format string, args ...any) {
		warnings = append(warnings, fmt.Sprintf("%s: ", p)+fmt.Sprintf(format, args...))
	}
	if strings.TrimSpace(typ) == "" {
		if p.Type, err = parseType(name); err != nil {
			return Plugin{}, nil, fmt.Errorf("%s: no type: write one of %s", p, list(types))
		}
		warn("no type: %s is taken from the name: write type: %s", p.Type, p.Type)
	} else if p.Type, err = parseType(typ); err != nil {
		return Plugin{}, nil, fmt.Errorf("%s: %w", p, err)
	}
	if strings.TrimSpace(action) == "" && p.Type == Hostname {
		action = string(PreInit)
	}
	var formerly []string
	if p.Actions, formerly, err = parseActions(action); err != nil {
		return Plugin{}, nil, fmt.Errorf("%s: %w", p, err)
	}
	if p.On, err = ParseOn(on); err != nil {
		return Plugin{}, nil, fmt.Errorf("%s: on %q: %w", p, on, err)
	}
	if err := p.checkActions(); err != nil {
		return Plugin{}, nil, fmt.Errorf("%s: %w", p, err)
	}
	for _, difference := range formerly {
		if p.Type == Shell && p.On.String() != firstRole {
			warn("%s", difference)
		}
	}
	if p.Type == ClusterCheck && p.On.String() != everywhere {
		warn("on %q is left out: a check is of the whole cluster", p.On)
		p.On = On{}
	}
	return p, warnings, nil
}

// checkActions refuses actions at which the type, or a label selector, has no meaning.
func (p Plugin) checkActions() error {
	for _, a := range p.Actions {
		if can := possible[p.Type]; can != nil && !slices.Contains(can, a) {
			return fmt.Errorf("%s cannot run at %s: it runs at %s", p.Type, a, list(can))
		}
		if p.Type == Shell && (a == PreJoin || a == PostJoin) && p.On.String() == firstRole {
			return fmt.Errorf("at %s it runs on hosts that join, which %s does not: write %s or %s", a, firstRole, PreInit, PreGuest)
		}
		if s := p.On.Selector(); s != "" && !slices.Contains(clusterUp, a) {
			return fmt.Errorf("on %q selects by labels, which a host does not have at %s: name roles or addresses, or run it at %s", s, a, list(clusterUp))
		}
	}
	return nil
}

// String returns where the plugin is written and its name, for messages.
func (p Plugin) String() string { return fmt.Sprintf("%s: plugin %q", p.Where, p.Name) }

// Runs reports whether the plugin runs at a.
func (p Plugin) Runs(a Action) bool { return slices.Contains(p.Actions, a) }

// Key is equal for plugins that do the same at the same time on the same hosts, whatever their names and wherever they are written. It
// does not give the data away.
func (p Plugin) Key() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q", p.Type, p.Actions, p.On, p.Data))
	return hex.EncodeToString(sum[:])
}

// Order returns the plugins that run at a, in the order in which they do: HOSTNAME first, because what follows needs the names; then
// the image's before the Clusterfile's; and else as given, which is by file name and document for the image's, and as written for the
// Clusterfile's. Of plugins with equal keys only the first is in it.
func Order(plugins []Plugin, a Action) []Plugin {
	var ordered []Plugin
	seen := map[string]bool{}
	for _, group := range []struct{ names, image bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
		for _, p := range plugins {
			key := p.Key()
			if p.Runs(a) && (p.Type == Hostname) == group.names && p.FromImage == group.image && !seen[key] {
				seen[key] = true
				ordered = append(ordered, p)
			}
		}
	}
	return ordered
}
