package leave

import (
	"context"
	"errors"
	"fmt"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kube"
	"github.com/kubefile/kubefile/runner/state"
)

// TakeBack decides what becomes of hosts that are given and whose removal was interrupted. As long as they are whole, they stay in the cluster. Later
// the removal has to be completed: what is left of such a host is not known.
func TakeBack(ctx context.Context, s *execute.Session, recorded *state.State) error {
	var refused []error
	for _, m := range s.Members {
		known := recorded.Host(m.Host.Address)
		if known == nil || !known.Leaves() {
			continue
		}
		n, err := wholeNode(ctx, s, m, *known)
		if n == nil {
			refused = append(refused, errors.Join(Interrupted(*known), err))
			continue
		}
		s.Report.Line(m.String(), "its removal was interrupted before it left the cluster; it stays")
		if n.Spec.Unschedulable {
			s.Report.Line(m.String(), fmt.Sprintf("warning: its node gets no new pods since then; to change that, run kubectl uncordon %s on a master", known.Name))
		}
	}
	return errors.Join(refused...)
}

// Interrupted is the error for a host whose removal has to be completed before it can join again.
func Interrupted(known state.Host) error {
	lost := ""
	if known.Phase == state.Lost {
		lost = " --lost"
	}
	flag := host.Host{Address: known.Address, Role: host.Role(known.Role)}.Flag()
	return fmt.Errorf("%s: its removal from the cluster was interrupted; run delete%s %s again. After that, the host can join again", known.Address, lost, flag)
}

// wholeNode is the node of a host whose removal has begun, if nothing was taken from it but pods; else nil.
func wholeNode(ctx context.Context, s *execute.Session, m *execute.Member, known state.Host) (*kube.Node, error) {
	if !m.Joined || !s.Running() {
		return nil, nil
	}
	n, err := s.Kube().Node(ctx, known.Name)
	if err != nil || n == nil || !m.Owns(n) {
		return nil, err
	}
	if known.Role != string(host.RoleMaster) {
		return n, nil
	}
	members, err := s.Etcd().Members(ctx)
	if err != nil {
		return nil, err
	}
	if member, err := kube.MemberOf(members, known.Name, known.Address); err != nil || member == nil {
		return nil, err
	}
	return n, nil
}
