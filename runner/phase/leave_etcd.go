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

// etcdPatience is how long etcd may take to accept a change of its members, and to answer after one.
const etcdPatience = 2 * time.Minute

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
	var refused error
	_, err := until(ctx, etcdPatience, pollInterval, func(ctx context.Context) (bool, error) {
		refused = p.etcd().Remove(ctx, m.ID)
		return !errors.Is(refused, kube.ErrUnsettled), nil
	})
	return errors.Join(err, refused)
}

// settled waits until the members that are left answer, without the one that was removed.
func (p *leaveEtcd) settled(ctx context.Context, gone kube.Member) ([]kube.Member, error) {
	var members []kube.Member
	why := errors.New("no answer")
	settled, err := until(ctx, etcdPatience, pollInterval, func(ctx context.Context) (bool, error) {
		answer, err := p.etcd().Members(ctx)
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
