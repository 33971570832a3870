package membership

import (
	"context"
	"fmt"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kube"
)

// CheckReset refuses to remove the etcd of an interrupted join if the cluster needs it, or if it has been in use and is not of this cluster. The
// cluster's members decide, not the age of the data: a new member may get a snapshot of all of it at once.
func (e *Examiner) CheckReset(ctx context.Context, m *execute.Member) error {
	if !m.IsMaster() || !m.Facts.HasData(host.EtcdDir) {
		return nil
	}
	members, err := e.EtcdMembers(ctx)
	if err != nil {
		return err
	}
	own := kube.MemberAt(members, m.Host.Address)
	switch {
	case own != nil:
		if _, err := kube.Without(members, *own); err != nil {
			return fmt.Errorf("%s: its join was interrupted, and its etcd cannot be removed: %w; bring the members back that do not answer, "+
				"then run the same command again", m, err)
		}
	case m.Facts.EtcdGrown:
		return fmt.Errorf("%s: its etcd has been in use for a while and is not a member of this cluster's; nothing was removed. "+
			"If you do not need its data, run kubeadm reset on that host, then the same command again", m)
	}
	return nil
}

// LeaveEtcdAfterReset removes the member of a host after kubeadm reset, which goes on if it cannot.
func (e *Examiner) LeaveEtcdAfterReset(ctx context.Context, m *execute.Member) error {
	if !m.IsMaster() || !m.Facts.HasCluster(execute.EtcdManifest) {
		return nil
	}
	members, err := e.EtcdMembers(ctx)
	if err != nil {
		return err
	}
	own := kube.MemberAt(members, m.Host.Address)
	if own == nil {
		return nil
	}
	if _, err := kube.Without(members, *own); err != nil {
		return err
	}
	e.Report.Line(m.String(), "removing its old member from etcd")
	_, err = e.RemoveEtcdMember(ctx, *own)
	return err
}
