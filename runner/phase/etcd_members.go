package phase

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubefile/kubefile/runner/kube"
)

// etcdPatience is how long etcd may take to accept a change of its members, and to answer after one.
const etcdPatience = 2 * time.Minute

// removeMember removes a member from etcd, and returns those that are left once they answer.
func (c *Cluster) removeMember(ctx context.Context, m kube.Member) ([]kube.Member, error) {
	var refused error
	_, err := until(ctx, etcdPatience, pollInterval, func(ctx context.Context) (bool, error) {
		refused = c.etcd().Remove(ctx, m.ID)
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
	settled, err := until(ctx, etcdPatience, pollInterval, func(ctx context.Context) (bool, error) {
		answer, err := c.etcd().Members(ctx)
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
