package membership

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/kube"
)

// newcomers are the hosts that are to join the cluster. A run that adds hosts brings no others back.
func (e *Examiner) newcomers() []*execute.Member { return e.notJoined(e.Targets()) }

// notJoined returns those of some hosts that are to join the cluster.
func (e *Examiner) notJoined(some []*execute.Member) []*execute.Member {
	return slices.DeleteFunc(slices.Clone(some), func(m *execute.Member) bool { return m.Joined || m == e.First() })
}

// CheckNewcomers refuses, before anything is changed, what would keep hosts from joining later, and names those that come back empty. An API
// that does not answer yet is waited for later, and asked then.
func (e *Examiner) CheckNewcomers(ctx context.Context) error {
	clear(e.InState)
	for _, m := range e.Members {
		e.InState[m] = e.State.Host(m.Host.Address) != nil
	}
	if !e.Running() {
		return nil
	}
	found, err := e.findRemains(ctx, e.newcomers())
	var silent *apiError
	if errors.As(err, &silent) && ctx.Err() == nil {
		return nil
	}
	for _, r := range found {
		e.Report.Line(r.member.String(), "comes back empty, and joins again in place of "+r.what())
	}
	return err
}

// apiError says that the API did not list its nodes.
type apiError struct{ error }

func (e *apiError) Unwrap() error { return e.error }

// findRemains finds what the cluster has of empty hosts that are to join, and refuses to if any of it is alive, or keeps masters from joining.
func (e *Examiner) findRemains(ctx context.Context, newcomers []*execute.Member) (all []remains, err error) {
	if len(newcomers) == 0 {
		return nil, nil
	}
	var is observed
	if is.nodes, err = e.Kube().Nodes(ctx); err != nil {
		return nil, &apiError{err}
	}
	if e.Stacked() && slices.ContainsFunc(newcomers, (*execute.Member).IsMaster) {
		if is.etcd, err = e.awakeMembers(ctx); err != nil {
			return nil, err
		}
	}
	var failed []error
	for _, m := range newcomers {
		if !m.IsEmpty() {
			continue
		}
		found, err := remainsOf(m, is)
		failed = append(failed, err)
		if found != nil {
			all = append(all, *found)
		}
	}
	failed = append(failed, e.checkEtcd(all, is.etcd), e.deadMembers(all, is.etcd))
	if err := errors.Join(failed...); err != nil {
		return nil, err
	}
	return all, execute.Together(maxListeners, all, func(r remains) error { return e.checkKubelet(ctx, r) })
}

// maxListeners is how many kubelets are listened for at a time: one master is asked for all of them.
const maxListeners = 10

// checkKubelet refuses remains whose kubelet is alive: it is on another machine.
func (e *Examiner) checkKubelet(ctx context.Context, r remains) error {
	for _, n := range r.nodes {
		if !n.Ready() {
			continue
		}
		renewed, err := e.RenewedLease(ctx, n.Metadata.Name, e.LeaseWait)
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

// RemoveRemains takes out of the cluster what it has of empty hosts that are about to join, after another look at all of it.
func (e *Examiner) RemoveRemains(ctx context.Context, hosts []*execute.Member) error {
	newcomers := e.notJoined(hosts)
	if !e.Running() || len(newcomers) == 0 {
		return nil
	}
	failed := make([]error, len(e.Members))
	e.Each(ctx, newcomers, func(ctx context.Context, m *execute.Member) error {
		failed[m.Index] = e.Refresh(ctx, m)
		return nil
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// A host that does not answer stops the others no more than its join, which fails.
	newcomers = slices.DeleteFunc(newcomers, func(m *execute.Member) bool { return failed[m.Index] != nil })
	all, err := e.findRemains(ctx, newcomers)
	if err != nil {
		return err
	}
	for _, r := range all {
		if r.etcd == nil {
			continue
		}
		err := e.Do(ctx, e.First(), fmt.Sprintf("remove the dead etcd member %s: %s comes back empty", r.etcd, r.member), func(ctx context.Context) error {
			return e.RemoveDead(ctx, *r.etcd)
		})
		if err != nil {
			return err
		}
	}
	for _, r := range all {
		for _, n := range r.nodes {
			what := fmt.Sprintf("remove node %s: %s comes back empty", n.Metadata.Name, r.member)
			if err := e.Do(ctx, e.First(), what, func(ctx context.Context) error { return e.Kube().DeleteNode(ctx, n.Metadata.Name) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// RemoveDead removes a member of etcd that still does not answer, and without which etcd goes on.
func (e *Examiner) RemoveDead(ctx context.Context, dead kube.Member) error {
	members, err := e.EtcdMembers(ctx)
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
	_, err = e.RemoveEtcdMember(ctx, dead)
	return err
}

// awakePatience is how long members of etcd on hosts that have joined may take to answer, as after a boot or on a slow disk.
const awakePatience = 30 * time.Second

// awakeMembers returns the members of etcd, once all answer but those at hosts that have yet to join, or when it is clear that they do not.
func (e *Examiner) awakeMembers(ctx context.Context) (members []kube.Member, err error) {
	newcomers := e.newcomers()
	var refused error
	_, err = execute.Until(ctx, cmp.Or(e.EtcdWait, awakePatience), execute.PollInterval, func(context.Context) (bool, error) { // an answer that comes late counts, too
		if members, refused = e.EtcdMembers(ctx); refused != nil {
			return true, nil
		}
		return !slices.ContainsFunc(members, func(m kube.Member) bool {
			return !m.Healthy && !slices.ContainsFunc(newcomers, func(n *execute.Member) bool { return slices.Contains(m.Addresses(), n.Host.Address) })
		}), nil
	})
	return members, errors.Join(err, refused)
}
