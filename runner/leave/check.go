package leave

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kube"
	"github.com/kubefile/kubefile/runner/report"
)

// Check refuses, before any change and for all hosts at once, what would take a host of others or break the cluster.
type Check struct{ *Departure }

// Title says what the phase does, for a person.
func (*Check) Title() string { return "Check what leaves the cluster" }

// Run leaves out hosts that nothing of the cluster is on.
func (p *Check) Run(ctx context.Context) error {
	if err := p.checkAll(ctx); err != nil {
		return fmt.Errorf("nothing was changed:\n%w", err)
	}
	// What carries nothing of the cluster needs no lock and no cleaning: an interrupted run has been there.
	p.Part.Members = slices.DeleteFunc(p.Part.Members, func(m *execute.Member) bool { return p.Removal.Surveys[m] == nil })
	for i, m := range p.Part.Members {
		m.Index = i
	}
	return nil
}

// checkAll is asked again once all hosts are locked.
func (d *Departure) checkAll(ctx context.Context) error {
	failed := execute.Together(maxChecks, d.leavers, func(l *leaver) error {
		if err := d.checkOne(ctx, l); err != nil {
			return err
		}
		return d.checkPods(ctx, l)
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	d.Removal.Surveys = map[*execute.Member]*hostrecord.Survey{}
	for _, l := range d.leavers {
		if l.survey != nil {
			d.Removal.Surveys[l.member] = l.survey
		}
	}
	return errors.Join(failed, d.checkMasters(ctx))
}

// maxChecks is how many hosts are asked about at a time: one master answers for all of them.
const maxChecks = 10

// checkOne finds the host in the state and in the API, and refuses one that is another's.
func (d *Departure) checkOne(ctx context.Context, l *leaver) error {
	known := d.Store.State.Host(l.address)
	var err error
	if known != nil {
		l.name = known.Name
	} else if l.name, err = d.Kube().NodeAt(ctx, l.address); err != nil {
		return err
	}
	if l.name == "" {
		return fmt.Errorf("%s is not a host of cluster %s: it is not in the cluster's state, and no node has its address", l.address, d.Name)
	}
	n, err := d.Kube().Node(ctx, l.name)
	if err != nil {
		return err
	}
	if err := d.checkRole(l, n); err != nil {
		return err
	}
	if n != nil && !slices.Contains(n.Addresses(), l.address) && (l.member == nil || !l.member.Owns(n)) && len(n.Addresses()) > 0 {
		return fmt.Errorf("%s is %s according to the cluster's state, but the node %s is at %s; check which of the two is meant", l.address, l.name, l.name, n.Address())
	}
	if l.member == nil {
		return d.checkLost(ctx, l)
	}
	if l.survey, err = l.member.Survey(ctx); err != nil {
		return err
	}
	l.member.Name = l.name
	return d.checkCluster(l)
}

// checkRole refuses a master that was named as a node, and the other way round.
func (d *Departure) checkRole(l *leaver, n *kube.Node) error {
	role := l.role
	if known := d.Store.State.Host(l.address); known != nil {
		role = host.Role(known.Role)
	} else if n != nil {
		role = host.RoleNode
		if _, master := n.Metadata.Labels[kube.ControlPlaneLabel]; master {
			role = host.RoleMaster
		}
	}
	if role == l.role {
		return nil
	}
	asIs := leaver{address: l.address, role: role}
	return fmt.Errorf("%s is a %s of cluster %s; to remove it, write %s", l.address, role, d.Name, asIs.flag())
}

// checkCluster refuses a host that is another cluster's, by its journal and record or by its kubelet.
func (d *Departure) checkCluster(l *leaver) error {
	m := l.member
	if l.survey != nil {
		if err := l.survey.Prove(d.Name, d.Store.State.ID); err != nil {
			return fmt.Errorf("%s: %w", m, err)
		}
	}
	if !m.Facts.HasCluster(execute.KubeletConfig) {
		return nil
	}
	switch lead := d.First().Authority(); {
	case lead == "" || m.Authority() != lead:
		return m.ErrForeignNode()
	case l.survey == nil:
		return fmt.Errorf("%s is a node of the cluster, but sealer-run did not prepare it (no %s), so it cannot clean it; "+
			"run kubeadm reset on it, then the same command with --lost", m, m.Path(hostrecord.JournalFile))
	}
	return nil
}

// checkLost refuses to call a host lost that works. What it says itself decides, or else what its node and its member of etcd say of it.
func (d *Departure) checkLost(ctx context.Context, l *leaver) error {
	if m := l.alive; m != nil {
		record, err := m.Record(ctx)
		if err == nil && record.Of(d.Name, d.Store.State.ID) {
			return fmt.Errorf("%s answers and is a host of this cluster, so it is not lost; leave out --lost to have it cleaned", l.address)
		}
	}
	n, err := d.Kube().Node(ctx, l.name)
	if err != nil || n == nil || !n.Ready() {
		return err
	}
	renewed, err := d.RenewedLease(ctx, l.name, d.Leaving.LeaseWait)
	if err == nil && renewed != "" {
		return fmt.Errorf("%s does not answer over SSH, but its kubelet is alive: it renewed its lease at %s; switch the host off, or leave out --lost", l, renewed)
	}
	return err
}

// checkMasters refuses to take the last master, or so many that etcd would stop.
func (d *Departure) checkMasters(ctx context.Context) error {
	leaving := d.leavingMasters()
	if len(leaving) == 0 {
		return nil
	}
	left, err := d.Etcd().Members(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, l := range leaving {
		if l.name == "" {
			continue // it is not of the cluster, which is said already
		}
		m, err := kube.MemberOf(left, l.name, l.address)
		if err == nil && m != nil && l.member == nil && m.Healthy {
			err = errors.New("its etcd answers, so it is not lost; switch the host off, or leave out --lost")
		}
		if err == nil && m != nil {
			left, err = kube.Without(left, *m)
		}
		if errors.Is(err, kube.ErrNoMajority) {
			back := "bring the members back that do not answer"
			if d.Leaving.Pruned {
				back += " (apply without --prune first brings back hosts that come back empty)"
			}
			err = fmt.Errorf("%w; %s, or remove them first with delete --lost", err, back)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", l, err))
		}
	}
	return errors.Join(failed...)
}

// checkPods refuses to drain a node with pods that nothing would start elsewhere.
func (d *Departure) checkPods(ctx context.Context, l *leaver) error {
	if d.Leaving.SkipDrain || d.Leaving.Lost {
		return nil
	}
	pods, err := d.Kube().PodsOn(ctx, l.name)
	if err != nil {
		return err
	}
	var alone []string
	for _, pod := range pods {
		if pod.Alone() {
			alone = append(alone, pod.String())
		}
	}
	if len(alone) == 0 {
		return nil
	}
	return fmt.Errorf("%s: pods without a controller would be lost: %s; delete them, or add --skip-drain", l, report.Names(alone, report.ManyHosts))
}
