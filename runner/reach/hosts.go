package reach

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/ask"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/store"
)

// Cluster connects to the hosts of a cluster that exists, and reads its state. Hosts that are not named are in the state.
type Cluster struct {
	*execute.Session
	Store     *store.Store
	Inventory *Inventory
	// Plugins are those of the Clusterfile, which may name hosts.
	Plugins []plugin.Plugin
	// WholeCluster reports the nodes whose hosts are not known, too.
	WholeCluster bool
	// Unreached are the hosts that were not reached, and Unknown the errors for nodes whose hosts are not known.
	Unreached *[]host.Report
	Unknown   *[]error
}

// Title says what the phase does, for a person.
func (*Cluster) Title() string { return "Reach the hosts" }

// Run does it. No host that answers is an error.
func (p *Cluster) Run(ctx context.Context) error {
	*p.Unreached = p.Inventory.Connect(ctx, p.Session, p.Inventory.Logins())
	if err := p.Store.Recall(ctx, p.Session, p.Plugins); err != nil {
		return err
	}
	*p.Unreached = append(*p.Unreached, p.Inventory.Connect(ctx, p.Session, p.Inventory.Unnamed(p.Session, p.Store))...)
	p.Store.SettleNames(p.Session, p.Plugins)
	for _, r := range *p.Unreached {
		p.Report.Line(r.Host.String(), host.WithoutAddress(r.Host, r.Err.Error()))
	}
	p.UnknownNodes(ctx)
	if len(p.Members) == 0 {
		return errors.New("no host answers: see above what is wrong with each")
	}
	return context.Cause(ctx)
}

// UnknownNodes names the nodes of the cluster whose hosts were neither named nor are in the state, as those of a run of an earlier version
// that failed, or of someone who ran kubeadm join. A removal does not find them.
func (p *Cluster) UnknownNodes(ctx context.Context) {
	if !p.WholeCluster || !p.Running() {
		return
	}
	nodes, err := ask.API(p.First()).Nodes(ctx)
	if err != nil {
		return // a cluster that is broken can be removed, too
	}
	known := map[string]bool{}
	for _, h := range p.Store.State.Hosts {
		known[h.Name], known[h.Address.String()] = true, true
	}
	for _, m := range p.Members {
		known[m.Name], known[m.String()] = true, true
	}
	for _, r := range *p.Unreached {
		known[r.Host.String()] = true
	}
	for _, name := range slices.Sorted(maps.Keys(nodes)) {
		words := []string{name}
		for _, address := range nodes[name].Addresses() {
			words = append(words, address.String())
		}
		if slices.ContainsFunc(words, func(word string) bool { return known[word] }) {
			continue
		}
		err := fmt.Errorf("node %q is in the cluster, but its host is not named and not in the state; name it with -n to remove it too", strings.Join(words, " "))
		p.Report.Printf("warning: %v\n", err)
		*p.Unknown = append(*p.Unknown, err)
	}
}
