package phase

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
)

// reach connects to the hosts of a cluster that exists. Those that are not named are in its state.
type reach struct{ *Cluster }

func (*reach) Title() string { return "Reach the hosts" }

func (p *reach) Run(ctx context.Context) error {
	p.unreached = p.connect(ctx, p.logins())
	if err := p.recall(ctx); err != nil {
		return err
	}
	p.unreached = append(p.unreached, p.connect(ctx, p.unnamed())...)
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

// connect reaches hosts and returns those that it could not.
func (p *reach) connect(ctx context.Context, hosts []host.Host) (unreached []host.Report) {
	dial := p.dial
	if dial == nil {
		dial = func(ctx context.Context, hosts []host.Host) []host.Report {
			return host.Connect(ctx, p.Dialer, hosts, p.DataRoot, p.ourQuestion())
		}
	}
	var found []*execute.Member
	answers := map[*execute.Member][]byte{}
	for _, r := range dial(ctx, hosts) {
		if r.Err != nil {
			unreached = append(unreached, r)
			continue
		}
		m := p.join(r)
		found, answers[m] = append(found, m), r.Also
	}
	failed := make([]error, len(p.Members))
	p.Each(ctx, found, func(ctx context.Context, m *execute.Member) error {
		failed[m.Index] = m.Look(ctx, answers[m])
		// A marker that is lost does not make a host less a part of the cluster.
		m.Joined = m.Joined || !m.IsNew && m.Kubernetes()
		return nil
	})
	for _, m := range found {
		if err := failed[m.Index]; err != nil { // it went away meanwhile
			unreached = append(unreached, host.Report{Host: m.Host, Err: errors.Join(err, m.Conn.Close())})
		}
	}
	p.Members = slices.DeleteFunc(p.Members, func(m *execute.Member) bool { return failed[m.Index] != nil })
	for i, m := range p.Members {
		m.Index = i
	}
	return unreached
}

// unnamed are the hosts of the state that were not given.
func (p *reach) unnamed() []host.Host {
	var hosts []host.Host
	for _, h := range p.State.Hosts {
		given := func(g Host) bool { return g.Login.Address == h.Address }
		empty := p.Joining != nil && slices.Contains(p.Joining.Empty, h.Address)
		if !slices.ContainsFunc(p.Hosts, given) && !slices.Contains(p.Next, h.Address) && !empty {
			hosts = append(hosts, host.Host{Address: h.Address, Role: host.Role(h.Role), Auth: p.Unlisted})
		}
	}
	return hosts
}

// unknownNodes names the nodes of the cluster whose hosts were neither named nor are in the state, as those of a run of an earlier version
// that failed, or of someone who ran kubeadm join. A removal does not find them.
func (p *reach) unknownNodes(ctx context.Context) {
	if p.Artifact != nil || !p.Running() {
		return
	}
	nodes, err := p.askedAPI(p.First()).Nodes(ctx)
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
