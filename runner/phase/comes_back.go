package phase

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/kube"
)

// newcomers are the hosts that are to join the cluster. A run that adds hosts brings no others back.
func (c *Cluster) newcomers() []*execute.Member { return c.notJoined(c.Targets()) }

// notJoined returns those of some hosts that are to join the cluster.
func (c *Cluster) notJoined(some []*execute.Member) []*execute.Member {
	return slices.DeleteFunc(slices.Clone(some), func(m *execute.Member) bool { return m.Joined || m == c.First() })
}

// checkNewcomers refuses, before anything is changed, what would keep hosts from joining later, and names those that come back empty. An API
// that does not answer yet is waited for later, and asked then.
func (p *remember) checkNewcomers(ctx context.Context) error {
	p.inState = map[*execute.Member]bool{}
	for _, m := range p.Members {
		p.inState[m] = p.State.Host(m.Host.Address) != nil
	}
	if !p.Running() {
		return nil
	}
	found, err := p.findRemains(ctx, p.newcomers())
	var silent *apiError
	if errors.As(err, &silent) && ctx.Err() == nil {
		return nil
	}
	for _, r := range found {
		p.Report.Line(r.member.String(), "comes back empty, and joins again in place of "+r.what())
	}
	return err
}

// apiError says that the API did not list its nodes.
type apiError struct{ error }

func (e *apiError) Unwrap() error { return e.error }

// findRemains finds what the cluster has of empty hosts that are to join, and refuses to if any of it is alive, or keeps masters from joining.
func (c *Cluster) findRemains(ctx context.Context, newcomers []*execute.Member) (all []remains, err error) {
	if len(newcomers) == 0 {
		return nil, nil
	}
	var is observed
	if is.nodes, err = c.Kube().Nodes(ctx); err != nil {
		return nil, &apiError{err}
	}
	if c.stacked() && slices.ContainsFunc(newcomers, (*execute.Member).IsMaster) {
		if is.etcd, err = c.awakeMembers(ctx); err != nil {
			return nil, err
		}
	}
	var failed []error
	for _, m := range newcomers {
		if !isEmpty(m) {
			continue
		}
		found, err := remainsOf(m, is)
		failed = append(failed, err)
		if found != nil {
			all = append(all, *found)
		}
	}
	failed = append(failed, c.checkEtcd(all, is.etcd), c.deadMembers(all, is.etcd))
	if err := errors.Join(failed...); err != nil {
		return nil, err
	}
	return all, execute.Together(maxChecks, all, func(r remains) error { return c.checkKubelet(ctx, r) })
}

// checkKubelet refuses remains whose kubelet is alive: it is on another machine.
func (c *Cluster) checkKubelet(ctx context.Context, r remains) error {
	for _, n := range r.nodes {
		if !n.Ready() {
			continue
		}
		renewed, err := c.renewedLease(ctx, n.Metadata.Name, c.leaseWait)
		if err != nil {
			return err
		}
		if renewed != "" {
			return fmt.Errorf("%s: nothing of the cluster is on this host, but the kubelet of its node %s is alive (it renewed its lease at %s); "+
				"find the machine that runs it, and switch one of them off", r.member, n.Metadata.Name, renewed)
		}
	}
	return nil
}

// removeRemains takes out of the cluster what it has of empty hosts that are about to join, after another look at all of it.
func (c *Cluster) removeRemains(ctx context.Context, hosts []*execute.Member) error {
	newcomers := c.notJoined(hosts)
	if !c.Running() || len(newcomers) == 0 {
		return nil
	}
	failed := make([]error, len(c.Members))
	c.Each(ctx, newcomers, func(ctx context.Context, m *execute.Member) error {
		failed[m.Index] = c.Refresh(ctx, m)
		return nil
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// A host that does not answer stops the others no more than its join, which fails.
	newcomers = slices.DeleteFunc(newcomers, func(m *execute.Member) bool { return failed[m.Index] != nil })
	all, err := c.findRemains(ctx, newcomers)
	if err != nil {
		return err
	}
	for _, r := range all {
		if r.etcd == nil {
			continue
		}
		err := c.Do(ctx, c.First(), fmt.Sprintf("remove the dead etcd member %s: %s comes back empty", r.etcd, r.member), func(ctx context.Context) error {
			return c.removeDead(ctx, *r.etcd)
		})
		if err != nil {
			return err
		}
	}
	for _, r := range all {
		for _, n := range r.nodes {
			what := fmt.Sprintf("remove node %s: %s comes back empty", n.Metadata.Name, r.member)
			if err := c.Do(ctx, c.First(), what, func(ctx context.Context) error { return c.Kube().DeleteNode(ctx, n.Metadata.Name) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeDead removes a member of etcd that still does not answer, and without which etcd goes on.
func (c *Cluster) removeDead(ctx context.Context, dead kube.Member) error {
	members, err := c.etcdMembers(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(members, func(m kube.Member) bool { return m.ID == dead.ID })
	switch {
	case at < 0:
		return nil
	case members[at].Healthy:
		return errors.New("it answers by now; run the same command again")
	}
	if _, err := kube.Without(members, dead); err != nil {
		return err
	}
	_, err = c.removeMember(ctx, dead)
	return err
}
