package execute

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/kubefile/kubefile/runner/host"
)

// leaseWait is longer than a kubelet lets its lease be without renewing it.
const leaseWait = 30 * time.Second

// RenewedLease listens for the kubelet of a node for so long; 0 is longer than a kubelet lets its lease be. It returns when the kubelet renewed its
// lease meanwhile; nothing if it did not.
func (s *Session) RenewedLease(ctx context.Context, node string, wait time.Duration) (string, error) {
	before, err := s.Kube().Renewed(ctx, node)
	if err != nil {
		return "", err
	}
	wait = cmp.Or(wait, leaseWait)
	s.Report.Line(s.First().String(), fmt.Sprintf("node %s is still Ready: listening %s for its kubelet", node, wait))
	if err := Pause(ctx, wait); err != nil {
		return "", err
	}
	after, err := s.Kube().Renewed(ctx, node)
	if err != nil || after == before {
		return "", err
	}
	return host.WithoutControls(after), nil
}
