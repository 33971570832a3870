package phase

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubefile/kubefile/runner/kube"
)

// leaveEtcd removes the masters that leave from etcd, one after the other, as long as its other members are a majority.
type leaveEtcd struct{ *departure }

func (*leaveEtcd) Title() string { return "Remove the masters from etcd" }

const (
	// etcdPatience is how long etcd may take to accept a change of its members, and to answer after one.
	etcdPatience = 2 * time.Minute
	etcdInterval = 2 * time.Second
)

func (p *leaveEtcd) Run(ctx context.Context) error {
	leaving := p.leavingMasters()
	if len(leaving) == 0 {
		return nil
	}
	members, err := p.etcd().Members(ctx)
	if err != nil {
		return err
	}
	for _, l := range leaving {
		if members, err = p.one(ctx, l, members); err != nil {
			return err
		}
	}
	return nil
}

// one removes the member of a host, and returns those that are left.
func (p *leaveEtcd) one(ctx context.Context, l *leaver, members []kube.Member) ([]kube.Member, error) {
	m, err := kube.MemberOf(members, l.name, l.address)
	if err != nil || m == nil {
		return members, err
	}
	left, err := kube.Without(members, *m)
	if err != nil {
		return members, fmt.Errorf("%s: %w; bring the members back that do not answer, then run the same command again", l, err)
	}
	err = p.Do(ctx, p.first(), "remove member "+m.String()+" from etcd", func(ctx context.Context) error {
		if err := p.still(ctx, l); err != nil {
			return err
		}
		if err := p.remove(ctx, *m); err != nil {
			return err
		}
		left, err = p.settled(ctx, *m)
		return err
	})
	return left, err
}

// remove asks etcd until it takes the change.
func (p *leaveEtcd) remove(ctx context.Context, m kube.Member) error {
	limited, cancel := context.WithTimeout(ctx, etcdPatience)
	defer cancel()
	for {
		err := p.etcd().Remove(limited, m.ID)
		if !errors.Is(err, kube.ErrUnsettled) || pause(limited, etcdInterval) != nil {
			return err
		}
	}
}

// settled waits until the members that are left answer, without the one that was removed.
func (p *leaveEtcd) settled(ctx context.Context, gone kube.Member) ([]kube.Member, error) {
	limited, cancel := context.WithTimeout(ctx, etcdPatience)
	defer cancel()
	for {
		members, err := p.etcd().Members(limited)
		if err == nil {
			var left []kube.Member
			if left, err = kube.Without(members, gone); err == nil && len(left) == len(members) {
				return members, nil
			}
		}
		if pause(limited, etcdInterval) != nil {
			return nil, errors.Join(context.Cause(ctx), fmt.Errorf("etcd does not answer within %s after %s was removed; run the same command again when it does: %w",
				etcdPatience, gone, err))
		}
	}
}
