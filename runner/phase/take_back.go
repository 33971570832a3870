package phase

import (
	"context"
	"errors"
	"fmt"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kube"
	"github.com/kubefile/kubefile/runner/state"
)

// takeBack decides what becomes of hosts that are given and whose removal was interrupted. As long as they are whole, they stay in the cluster. Later
// the removal has to be completed: what is left of such a host is not known.
func (p *remember) takeBack(ctx context.Context) error {
	var refused []error
	for _, m := range p.Members {
		known := p.State.Host(m.Host.Address)
		if known == nil || !known.Leaves() {
			continue
		}
		n, err := p.wholeNode(ctx, m, *known)
		if n == nil {
			refused = append(refused, errors.Join(interruptedLeave(*known), err))
			continue
		}
		p.Report.Line(m.String(), "its removal was interrupted before it left the cluster; it stays")
		if n.Spec.Unschedulable {
			p.Report.Line(m.String(), fmt.Sprintf("warning: its node gets no new pods since then; to change that, run kubectl uncordon %s on a master", known.Name))
		}
	}
	return errors.Join(refused...)
}

// wholeNode is the node of a host whose removal has begun, if nothing was taken from it but pods; else nil.
func (p *remember) wholeNode(ctx context.Context, m *execute.Member, known state.Host) (*kube.Node, error) {
	if !m.Joined || !p.Running() {
		return nil, nil
	}
	n, err := p.Kube().Node(ctx, known.Name)
	if err != nil || n == nil || !owns(m, n) {
		return nil, err
	}
	if known.Role != string(host.RoleMaster) {
		return n, nil
	}
	members, err := p.Etcd().Members(ctx)
	if err != nil {
		return nil, err
	}
	if member, err := kube.MemberOf(members, known.Name, known.Address); err != nil || member == nil {
		return nil, err
	}
	return n, nil
}
