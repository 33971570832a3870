package phase

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kube"
)

const (
	// etcdPatience is how long etcd may take to accept a change of its members, and to answer after one.
	etcdPatience = 2 * time.Minute
	// awakePatience is how long members of etcd on hosts that have joined may take to answer, as after a boot or on a slow disk.
	awakePatience = 30 * time.Second
)

// stacked reports whether the cluster's etcd runs on its masters, as the first one was seen.
func (c *Cluster) stacked() bool { return c.First().Facts.HasCluster(etcdManifest) }

// etcdMembers returns the members of etcd. Its pod cannot be asked yet for some seconds after the first master was made or started.
func (c *Cluster) etcdMembers(ctx context.Context) ([]kube.Member, error) {
	var members []kube.Member
	var refused error
	_, err := execute.Until(ctx, etcdPatience, execute.PollInterval, func(ctx context.Context) (bool, error) {
		answer, err := c.Etcd().Members(ctx)
		var exit *host.ExitError
		if errors.As(err, &exit) {
			refused = err
			return false, nil
		}
		members, refused = answer, nil
		return err == nil, err
	})
	return members, errors.Join(err, refused)
}

// awakeMembers returns the members of etcd, once all answer but those at hosts that have yet to join, or when it is clear that they do not.
func (c *Cluster) awakeMembers(ctx context.Context) (members []kube.Member, err error) {
	newcomers := c.newcomers()
	var refused error
	_, err = execute.Until(ctx, cmp.Or(c.etcdWait, awakePatience), execute.PollInterval, func(context.Context) (bool, error) { // an answer that comes late counts, too
		if members, refused = c.etcdMembers(ctx); refused != nil {
			return true, nil
		}
		return !slices.ContainsFunc(members, func(m kube.Member) bool {
			return !m.Healthy && !slices.ContainsFunc(newcomers, func(n *execute.Member) bool { return slices.Contains(m.Addresses(), n.Host.Address) })
		}), nil
	})
	return members, errors.Join(err, refused)
}

// removeMember removes a member from etcd, and returns those that are left once they answer.
func (c *Cluster) removeMember(ctx context.Context, m kube.Member) ([]kube.Member, error) {
	var refused error
	_, err := execute.Until(ctx, etcdPatience, execute.PollInterval, func(ctx context.Context) (bool, error) {
		refused = c.Etcd().Remove(ctx, m.ID)
		return !errors.Is(refused, kube.ErrUnsettled), nil
	})
	if err := errors.Join(err, refused); err != nil {
		return nil, err
	}
	return c.settledEtcd(ctx, m)
}

// settledEtcd waits until the members that are left answer, without the one that was removed.
func (c *Cluster) settledEtcd(ctx context.Context, gone kube.Member) ([]kube.Member, error) {
	var members []kube.Member
	why := errors.New("no answer")
	settled, err := execute.Until(ctx, etcdPatience, execute.PollInterval, func(ctx context.Context) (bool, error) {
		answer, err := c.Etcd().Members(ctx)
		if ctx.Err() != nil { // why is what the answer before this one showed
			return false, nil
		}
		members, why = answer, err
		if why != nil {
			return false, nil
		}
		var left []kube.Member
		if left, why = kube.Without(members, gone); why == nil && len(left) < len(members) {
			why = errors.New("it still lists that member")
		}
		return why == nil, nil
	})
	if settled {
		return members, nil
	}
	return nil, errors.Join(err, fmt.Errorf("etcd does not answer as expected within %s after %s was removed; run the same command again when it does: %w",
		etcdPatience, gone, why))
}
