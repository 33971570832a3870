package phase

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/ask"
	"github.com/kubefile/kubefile/runner/host"
)

// reachHosts connects to the hosts of a cluster that exists. Those that are not named are in its state.
type reachHosts struct{ *Cluster }

func (*reachHosts) Title() string { return "Reach the hosts" }

func (p *reachHosts) Run(ctx context.Context) error {
	p.unreached = p.Connect(ctx, &p.Session, p.Logins())
	if err := p.recall(ctx); err != nil {
		return err
	}
	p.unreached = append(p.unreached, p.Connect(ctx, &p.Session, p.Unnamed(&p.Session, &p.Store))...)
	p.settleNames()
	for _, r := range p.unreached {
		p.Report.Line(r.Host.String(), host.WithoutAddress(r.Host, r.Err.Error()))
	}
	p.unknownNodes(ctx)
	if len(p.Members) == 0 {
		return errors.New("no host answers: see above what is wrong with each")
	}
	return context.Cause(ctx)
}

// unknownNodes names the nodes of the cluster whose hosts were neither named nor are in the state, as those of a run of an earlier version
// that failed, or of someone who ran kubeadm join. A removal does not find them.
func (p *reachHosts) unknownNodes(ctx context.Context) {
	if p.Artifact != nil || !p.Running() {
		return
	}
	nodes, err := ask.API(p.First()).Nodes(ctx)
	if err != nil {
		return // a cluster that is broken can be removed, too
	}
	known := map[string]bool{}
	for _, h := range p.State.Hosts {
		known[h.Name], known[h.Address.String()] = true, true
	}
	for _, m := range p.Members {
		known[m.Name], known[m.String()] = true, true
	}
	for _, r := range p.unreached {
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
		p.unknown = append(p.unknown, err)
	}
}

// Unreached is the error for hosts that a removal did not reach, or nil.
func (c *Cluster) Unreached() error {
	var failed []error
	for _, r := range c.unreached {
		failed = append(failed, fmt.Errorf("%s was not reached and keeps what is on it: %w", r.Host, r.Err))
	}
	return errors.Join(failed...)
}

// Reach connects to the hosts of a cluster that exists, and reads its state. It changes nothing.
func Reach(ctx context.Context, c *Cluster) error { return (&reachHosts{c}).Run(ctx) }
