package phase

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/kube"
)

const (
	// awakePatience is how long members of etcd on hosts that have joined may take to answer, as after a boot or on a slow disk.
	awakePatience = 30 * time.Second
)

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
