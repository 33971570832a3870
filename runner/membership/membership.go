// Package membership decides from the records on hosts, the state, the API and the members of etcd what a host is, and what has to become of it
// before it is in the cluster.
package membership

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kube"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/store"
)

// Fate is what has to become of a host before it is in the cluster.
type Fate int

const (
	// Fresh means that kubeadm may run: nothing is in its way.
	Fresh Fate = iota
	// Half means that what an interrupted kubeadm of ours left has to be cleared away first.
	Half
	// Unfinished means that its control plane answers, and kubeadm init has to go on where it was interrupted.
	Unfinished
	// InCluster means that it is in the cluster.
	InCluster
)

// Examiner finds out what the hosts of a run are. It is the same for the whole run.
type Examiner struct {
	*execute.Session
	*store.Store
	// InState are the hosts that the cluster's state had when the run began. [Examiner.CheckNewcomers] notes them in it, so it is not nil.
	InState map[*execute.Member]bool
	// LeaseWait is how long the kubelet of a host that comes back empty is listened for; default: longer than it lets its lease be.
	LeaseWait time.Duration
	// EtcdWait is how long etcd's members on hosts that have joined may take to answer; default 30 seconds.
	EtcdWait time.Duration
}

// Check decides by what is on the hosts, in the state and in the API which hosts are in the cluster, and refuses those that are in
// another one. Markers are hints: one that is lost changes nothing.
func (e *Examiner) Check(ctx context.Context) error {
	var failed []error
	for _, m := range e.Members {
		failed = append(failed, e.CheckRecord(e.Session, m))
		known := e.State.Host(m.Host.Address)
		if !m.IsNew && m.Kubernetes() && known != nil && known.In() {
			m.Joined = true
		}
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	first := e.First()
	if first.Authority() == "" {
		return nil // no control plane yet, and kubeadm init looks at what is there
	}
	for _, m := range e.Members {
		if m.Facts.HasCluster(execute.KubeletConfig) && m.Authority() != first.Authority() {
			m.Joined = false
			failed = append(failed, m.ErrForeignNode())
		}
	}
	return errors.Join(failed...)
}

// CheckNodes refuses nodes that have joined while no master has a control plane: they are of a cluster with another master.
func (e *Examiner) CheckNodes() error {
	if e.First().Joined {
		return nil
	}
	for _, m := range e.Nodes() {
		if m.Joined && (m.Authority() == "" || m.Authority() != e.First().Authority()) {
			return fmt.Errorf("%s has joined a cluster %s of another master than %s: name that one with -m, or take this host out of it first",
				m, e.Name, e.First())
		}
		if m.Facts.HasCluster(execute.KubeletConfig) && m.Authority() != e.First().Authority() {
			return m.ErrForeignNode()
		}
	}
	return nil
}

// apiserverManifest is what the kubelet starts the API server from.
const apiserverManifest = execute.ManifestsDir + "kube-apiserver.yaml"

// foreignEtcd refuses a host with an etcd, and nothing of a Kubernetes, that we did not begin.
func foreignEtcd(m *execute.Member) error {
	if m.Begun() || len(m.Facts.Cluster) > 0 || !m.Facts.HasData(host.EtcdDir) && !m.Facts.Runs("etcd") {
		return nil
	}
	return fmt.Errorf("%s: it has an etcd (%s) that this cluster did not create; use another host, or stop that etcd and move its data away",
		m, host.EtcdDir)
}

// resettable refuses to clear away what is on a host unless we began it, and it was never in use.
func (e *Examiner) resettable(m *execute.Member) error {
	left := strings.Join(m.LeftOn(), ", ")
	known := e.State.Host(m.Host.Address)
	switch {
	case !m.Begun():
		return fmt.Errorf("%s: found %s, and no record of this cluster that it started kubeadm here; nothing was removed. "+
			"If this is left from an interrupted earlier sealer-run and you do not need it, run kubeadm reset on that host, then the same command again", m, left)
	case m.IsMaster() && m.Facts.HasData(host.EtcdDir) && !m.Facts.HasCluster(execute.EtcdManifest):
		// kubeadm writes the manifest before there are data, and a reset empties the directory before it removes the manifest.
		return fmt.Errorf("%s: %s has data but there is no %s, so an interrupted kubeadm did not write them; nothing was removed. "+
			"If you do not need the data, remove them and run the same command again", m, host.EtcdDir, execute.EtcdManifest)
	case m.IsMaster() && known != nil && known.In():
		return fmt.Errorf("%s: according to the cluster's state its control plane was complete once, but only %s is left; nothing was removed. "+
			"Restore it; if it is lost for good, delete the cluster (delete --all) and create it again", m, left)
	}
	return nil
}

// startingPatience is how long the API of an interrupted control plane may take until it answers, if anything of it runs.
const startingPatience = time.Minute

// ExamineFirst finds out what to do on the first master of a cluster that has no control plane and gets one with these documents, right before it
// is done.
func (e *Examiner) ExamineFirst(ctx context.Context, m *execute.Member, documents kubeadm.Documents) (Fate, error) {
	if err := e.Refresh(ctx, m); err != nil {
		return Fresh, err
	}
	if err := errors.Join(e.CheckRecord(e.Session, m), e.otherMasters(), foreignEtcd(m)); err != nil {
		return Fresh, err
	}
	known := e.State.Host(m.Host.Address)
	switch {
	case len(m.LeftOn()) == 0 && known != nil && known.In():
		return Fresh, fmt.Errorf("%s: according to the cluster's state the control plane was here, but nothing of it is left; "+
			"delete the cluster (delete --all) and create it again", m)
	case len(m.LeftOn()) == 0:
		return Fresh, nil
	}
	if m.Facts.HasCluster(execute.AdminConfig) {
		answers, complete, err := e.controlPlane(ctx, m, documents)
		switch {
		case err != nil:
			return Fresh, err
		case answers && complete:
			return InCluster, nil
		case answers && m.Begun():
			return Unfinished, nil
		}
	}
	if err := e.resettable(m); err != nil {
		return Half, err
	}
	if m.Facts.EtcdGrown { // there is nobody to ask what it is
		return Half, fmt.Errorf("%s: its etcd has been in use for a while, so this is not an interrupted kubeadm; nothing was removed. "+
			"To find out why its API does not answer, run journalctl -u kubelet and crictl ps -a", m)
	}
	return Half, nil
}

// otherMasters refuses to make a control plane while the cluster has one on masters that were not named.
func (e *Examiner) otherMasters() error {
	for _, other := range e.Others(e.Session) {
		if other.Role == string(host.RoleMaster) && other.In() {
			return fmt.Errorf("the control plane of cluster %s is on %s; add that host with -m", e.Name, other.Address)
		}
	}
	return nil
}

// controlPlane reports whether the API of a master answers and lists its node, and whether kubeadm init did all of its work.
func (e *Examiner) controlPlane(ctx context.Context, m *execute.Member, documents kubeadm.Documents) (answers, complete bool, err error) {
	// After a boot the kubelet is there before what it starts.
	starting, there := m.Facts.Runs("kubelet") && m.Facts.HasCluster(apiserverManifest), false
	_, err = execute.Until(ctx, startingPatience, execute.PollInterval, func(ctx context.Context) (bool, error) {
		there, _ = e.KubeOn(m).HasNode(ctx, m.Name, 5)
		return there || !starting, nil
	})
	if err != nil || !there {
		return false, false, context.Cause(ctx)
	}
	if known := e.State.Host(m.Host.Address); known != nil && known.In() {
		return true, true, nil
	}
	for _, object := range documents.Objects() {
		argv := []string{"get", object.Kind, object.Name, "--namespace", object.Namespace, "-o", "name", "--request-timeout=10s"}
		if _, err := e.KubeOn(m)(ctx, nil, argv...); err != nil {
			var exit *host.ExitError
			if errors.As(err, &exit) {
				return true, false, nil
			}
			return true, false, err
		}
	}
	return true, true, nil
}

// ExamineJoin finds out what to do on a host that is about to join the cluster of this authority, right before it is done.
func (e *Examiner) ExamineJoin(ctx context.Context, m *execute.Member, authority string) (Fate, error) {
	if err := e.Refresh(ctx, m); err != nil {
		return Fresh, err
	}
	if err := errors.Join(e.CheckRecord(e.Session, m), foreignEtcd(m)); err != nil {
		return Fresh, err
	}
	kubelet := m.Facts.HasCluster(execute.KubeletConfig)
	if kubelet && m.Authority() != authority {
		return Fresh, m.ErrForeignNode()
	}
	n, err := e.Kube().Node(ctx, m.Name)
	if err != nil {
		return Fresh, err
	}
	if n != nil {
		_, controlPlane := n.Metadata.Labels[kube.ControlPlaneLabel]
		switch {
		case kubelet && (!m.IsMaster() || controlPlane && m.Facts.HasCluster(execute.AdminConfig)):
			return InCluster, nil
		case !m.Owns(n):
			return Fresh, nameTaken(m, n)
		}
	}
	if len(m.LeftOn()) == 0 {
		return Fresh, nil
	}
	if err := e.resettable(m); err != nil {
		return Half, err
	}
	return Half, e.CheckReset(ctx, m)
}

// Rejoined notes that a host is in the cluster whose marker is lost.
func (e *Examiner) Rejoined(ctx context.Context, m *execute.Member, marker string) error {
	m.Joined = true
	e.Report.Line(m.String(), "already in the cluster")
	if e.DryRun {
		return nil
	}
	return m.Mark(ctx, marker, execute.Finished)
}

// Remark writes the marker of a host that is in the cluster, if it is lost.
func (e *Examiner) Remark(ctx context.Context, m *execute.Member, marker string) error {
	if m.Marker != "" || e.DryRun {
		return nil
	}
	m.Marker = marker
	return m.Mark(ctx, marker, execute.Finished)
}
