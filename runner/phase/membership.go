package phase

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kube"
)

// fate is what has to become of a host before it is in the cluster.
type fate int

const (
	fresh      fate = iota // kubeadm may run: nothing is in its way
	half                   // what an interrupted kubeadm of ours left has to be cleared away first
	unfinished             // its control plane answers, and kubeadm init has to go on where it was interrupted
	inCluster              // it is in the cluster
)

// checkMembership decides by what is on the hosts, in the state and in the API which hosts are in the cluster, and refuses those that are in
// another one. Markers are hints: one that is lost changes nothing.
func (c *Cluster) checkMembership(ctx context.Context) error {
	var failed []error
	for _, m := range c.Members {
		failed = append(failed, c.checkRecord(m))
		known := c.State.Host(m.Host.Address)
		if !m.IsNew && m.Kubernetes() && known != nil && known.In() {
			m.Joined = true
		}
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	first := c.First()
	if first.Authority() == "" {
		return nil // no control plane yet, and kubeadm init looks at what is there
	}
	for _, m := range c.Members {
		if m.Facts.HasCluster(execute.KubeletConfig) && m.Authority() != first.Authority() {
			m.Joined = false
			failed = append(failed, c.foreignNode(m))
		}
	}
	return errors.Join(failed...)
}

// apiserverManifest is what the kubelet starts the API server from.
const apiserverManifest = "/etc/kubernetes/manifests/kube-apiserver.yaml"

// foreignEtcd refuses a host with an etcd, and nothing of a Kubernetes, that we did not begin.
func foreignEtcd(m *execute.Member) error {
	if m.Begun() || len(m.Facts.Cluster) > 0 || !m.Facts.HasData(host.EtcdDir) && !m.Facts.Runs("etcd") {
		return nil
	}
	return fmt.Errorf("%s: it has an etcd (%s) that this cluster did not create; use another host, or stop that etcd and move its data away",
		m, host.EtcdDir)
}

// resettable refuses to clear away what is on a host unless we began it, and it was never in use.
func (c *Cluster) resettable(m *execute.Member) error {
	left := strings.Join(leftOn(m), ", ")
	known := c.State.Host(m.Host.Address)
	switch {
	case !m.Begun():
		return fmt.Errorf("%s: found %s, and no record of this cluster that it started kubeadm here; nothing was removed. "+
			"If this is left from an interrupted earlier sealer-run and you do not need it, run kubeadm reset on that host, then the same command again", m, left)
	case m.IsMaster() && m.Facts.HasData(host.EtcdDir) && !m.Facts.HasCluster(etcdManifest):
		// kubeadm writes the manifest before there are data, and a reset empties the directory before it removes the manifest.
		return fmt.Errorf("%s: %s has data but there is no %s, so an interrupted kubeadm did not write them; nothing was removed. "+
			"If you do not need the data, remove them and run the same command again", m, host.EtcdDir, etcdManifest)
	case m.IsMaster() && known != nil && known.In():
		return fmt.Errorf("%s: according to the cluster's state its control plane was complete once, but only %s is left; nothing was removed. "+
			"Restore it; if it is lost for good, delete the cluster (delete --all) and create it again", m, left)
	}
	return nil
}

// startingPatience is how long the API of an interrupted control plane may take until it answers, if anything of it runs.
const startingPatience = time.Minute

// examineFirst finds out what to do on the first master of a cluster that has no control plane, right before it is done.
func (p *kubeadmInit) examineFirst(ctx context.Context, m *execute.Member) (fate, error) {
	if err := p.Refresh(ctx, m); err != nil {
		return fresh, err
	}
	if err := errors.Join(p.checkRecord(m), p.otherMasters(), foreignEtcd(m)); err != nil {
		return fresh, err
	}
	known := p.State.Host(m.Host.Address)
	switch {
	case len(leftOn(m)) == 0 && known != nil && known.In():
		return fresh, fmt.Errorf("%s: according to the cluster's state the control plane was here, but nothing of it is left; "+
			"delete the cluster (delete --all) and create it again", m)
	case len(leftOn(m)) == 0:
		return fresh, nil
	}
	if m.Facts.HasCluster(execute.AdminConfig) {
		answers, complete, err := p.controlPlane(ctx, m)
		switch {
		case err != nil:
			return fresh, err
		case answers && complete:
			return inCluster, nil
		case answers && m.Begun():
			return unfinished, nil
		}
	}
	if err := p.resettable(m); err != nil {
		return half, err
	}
	if m.Facts.EtcdGrown { // there is nobody to ask what it is
		return half, fmt.Errorf("%s: its etcd has been in use for a while, so this is not an interrupted kubeadm; nothing was removed. "+
			"To find out why its API does not answer, run journalctl -u kubelet and crictl ps -a", m)
	}
	return half, nil
}

// otherMasters refuses to make a control plane while the cluster has one on masters that were not named.
func (p *kubeadmInit) otherMasters() error {
	for _, other := range p.others() {
		if other.Role == string(host.RoleMaster) && other.In() {
			return fmt.Errorf("the control plane of cluster %s is on %s; add that host with -m", p.Name, other.Address)
		}
	}
	return nil
}

// controlPlane reports whether the API of a master answers and lists its node, and whether kubeadm init did all of its work.
func (p *kubeadmInit) controlPlane(ctx context.Context, m *execute.Member) (answers, complete bool, err error) {
	// After a boot the kubelet is there before what it starts.
	starting, there := m.Facts.Runs("kubelet") && m.Facts.HasCluster(apiserverManifest), false
	_, err = execute.Until(ctx, startingPatience, execute.PollInterval, func(ctx context.Context) (bool, error) {
		there, _ = p.KubeOn(m).HasNode(ctx, m.Name, 5)
		return there || !starting, nil
	})
	if err != nil || !there {
		return false, false, context.Cause(ctx)
	}
	if known := p.State.Host(m.Host.Address); known != nil && known.In() {
		return true, true, nil
	}
	for _, object := range p.kubeadm.Objects() {
		argv := []string{"get", object.Kind, object.Name, "--namespace", object.Namespace, "-o", "name", "--request-timeout=10s"}
		if _, err := p.KubeOn(m)(ctx, nil, argv...); err != nil {
			var exit *host.ExitError
			if errors.As(err, &exit) {
				return true, false, nil
			}
			return true, false, err
		}
	}
	return true, true, nil
}

// examineJoin finds out what to do on a host that is about to join the cluster of this authority, right before it is done.
func (c *Cluster) examineJoin(ctx context.Context, m *execute.Member, authority string) (fate, error) {
	if err := c.Refresh(ctx, m); err != nil {
		return fresh, err
	}
	if err := errors.Join(c.checkRecord(m), foreignEtcd(m)); err != nil {
		return fresh, err
	}
	kubelet := m.Facts.HasCluster(execute.KubeletConfig)
	if kubelet && m.Authority() != authority {
		return fresh, c.foreignNode(m)
	}
	n, err := c.Kube().Node(ctx, m.Name)
	if err != nil {
		return fresh, err
	}
	if n != nil {
		_, controlPlane := n.Metadata.Labels[kube.ControlPlaneLabel]
		switch {
		case kubelet && (!m.IsMaster() || controlPlane && m.Facts.HasCluster(execute.AdminConfig)):
			return inCluster, nil
		case !owns(m, n):
			return fresh, nameTaken(m, n)
		}
	}
	if len(leftOn(m)) == 0 {
		return fresh, nil
	}
	if err := c.resettable(m); err != nil {
		return half, err
	}
	return half, c.checkReset(ctx, m)
}

// rejoined notes that a host is in the cluster whose marker is lost.
func (c *Cluster) rejoined(ctx context.Context, m *execute.Member, marker string) error {
	m.Joined = true
	c.Report.Line(m.String(), "already in the cluster")
	if c.DryRun {
		return nil
	}
	return m.Mark(ctx, marker, execute.Finished)
}
