package leave

import (
	"context"
	"fmt"

	"github.com/kubefile/kubefile/runner/kube"
)

// RemoveMembers removes the masters that leave from etcd, one after the other, as long as its other members are a majority.
type RemoveMembers struct{ *Departure }

// Title says what the phase does, for a person.
func (*RemoveMembers) Title() string { return "Remove the masters from etcd" }

// Run removes the members.
func (p *RemoveMembers) Run(ctx context.Context) error {
	leaving := p.leavingMasters()
	if len(leaving) == 0 {
		return nil
	}
	members, err := p.Etcd().Members(ctx)
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
func (p *RemoveMembers) one(ctx context.Context, l *leaver, members []kube.Member) ([]kube.Member, error) {
	m, err := kube.MemberOf(members, l.name, l.address)
	if err != nil || m == nil {
		return members, err
	}
	left, err := kube.Without(members, *m)
	if err != nil {
		return members, fmt.Errorf("%s: %w; bring the members back that do not answer, then run the same command again", l, err)
	}
	err = p.Do(ctx, p.First(), "remove member "+m.String()+" from etcd", func(ctx context.Context) error {
		if err := p.still(ctx, l); err != nil {
			return err
		}
		left, err = p.RemoveEtcdMember(ctx, *m)
		return err
	})
	return left, err
}
