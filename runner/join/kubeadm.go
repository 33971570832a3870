// Package join makes hosts nodes of a cluster: it runs kubeadm on them, and gives them the names, the API proxy, labels and taints that nodes have.
package join

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/command"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/kubelet"
	"github.com/kubefile/kubefile/runner/membership"
	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/store"
)

// Kubeadm is what the phases share that run kubeadm.
type Kubeadm struct {
	*execute.Session
	*store.Store
	// Examiner decides what hosts are.
	Examiner *membership.Examiner
	// Documents are the configuration of the cluster, and Plugins those of the image and the site: earlier phases put them together.
	Documents *kubeadm.Documents
	Plugins   *[]plugin.Plugin
	// Kubernetes is the version in the image.
	Kubernetes string
	// Environment returns what programs of the image see on a host.
	Environment func(*execute.Member) environment.Set
}

// reset clears away what an interrupted kubeadm left on a host, of which [membership.Examiner] has said that it may. A node has no etcd: what
// is in its place is left alone.
func (p *Kubeadm) reset(ctx context.Context, m *execute.Member) error {
	p.Report.Line(m.String(), "cleaning up after an interrupted kubeadm")
	argv := []string{m.Program("kubeadm"), "reset", "--force", "--cri-socket", kubeadm.CRISocket}
	if !m.IsMaster() {
		argv = append(argv, "--skip-phases=remove-etcd-member")
	}
	return p.Exec(ctx, m, host.Command{Argv: argv, Env: p.Environment(m).Variables(), Limit: execute.KubeadmLimit})
}

// registerPatience is how long a kubelet may take to register its node.
const registerPatience = time.Minute

// registered waits until the node of a host is in the cluster.
func (p *Kubeadm) registered(ctx context.Context, m *execute.Member) error {
	there, err := execute.Until(ctx, registerPatience, execute.PollInterval, func(ctx context.Context) (bool, error) {
		there, _ := p.Kube().HasNode(ctx, m.Name, 10) // an API that does not answer may do so later
		return there, nil
	})
	if there || err != nil {
		return err
	}
	err = fmt.Errorf("%s: its kubelet runs, and node %s did not come back within %s. "+
		"To have it join again as a new node, run kubeadm reset on it, then the same command again", m, m.Name, registerPatience)
	return kubelet.WithReasons(ctx, m, registerPatience, err)
}

// kubeadmJoin makes one host join. A master whose member etcd promoted too late for kubeadm joins again.
func (p *Kubeadm) kubeadmJoin(ctx context.Context, m *execute.Member, join kubeadm.Join) error {
	err := p.joinOnce(ctx, m, join)
	if !isPromotedAlready(err) || ctx.Err() != nil {
		return err
	}
	p.Report.Line(m.String(), "etcd accepted the new member too late for kubeadm: joining again")
	return p.joinOnce(ctx, m, join)
}

// promotedAlready is etcd's answer to the promotion of a member that it has promoted (ErrMemberNotLearner of api/v3rpc/rpctypes/error.go).
// kubeadm waits two seconds for each answer; when a slow disk makes etcd late, it asks again, and gets this one until it gives up
// (MemberPromote of cmd/kubeadm/app/util/etcd/etcd.go, in 1.34).
const promotedAlready = "etcdserver: can only promote a learner member"

// isPromotedAlready reports whether that is what a kubeadm join failed with. Another answer has the same beginning.
func isPromotedAlready(err error) bool {
	if err == nil {
		return false
	}
	for line := range strings.Lines(err.Error()) {
		if strings.HasSuffix(strings.TrimSpace(line), promotedAlready) {
			return true
		}
	}
	return false
}

// joinOnce runs kubeadm join on a host, after what an interrupted one left was cleared away.
func (p *Kubeadm) joinOnce(ctx context.Context, m *execute.Member, join kubeadm.Join) error {
	join.NodeName, join.Kubelet = m.Name, m.Kubelet(*p.Documents)
	config, err := kubeadm.JoinConfig(*p.Documents, join)
	if err != nil {
		return err
	}
	found, err := p.Examiner.ExamineJoin(ctx, m, join.CAHash)
	switch {
	case err != nil:
		return err
	case found == membership.InCluster:
		return p.Examiner.Rejoined(ctx, m, execute.JoinMarker)
	case found == membership.Half:
		if err := p.reset(ctx, m); err != nil {
			return err
		}
		if err := p.Examiner.LeaveEtcdAfterReset(ctx, m); err != nil {
			return err
		}
	}
	// A join that was interrupted may have registered the node already, and kubeadm refuses a name that is taken. It is this host's:
	// [membership.Examiner.ExamineJoin] refuses that of another.
	if err := p.Kube().DeleteNode(ctx, m.Name); err != nil {
		return err
	}
	if err := p.Claim(ctx, m, p.State.ID, hostrecord.BegunKubeadmJoin); err != nil {
		return err
	}
	if err := command.NoteAgain(ctx, m, *p.Plugins); err != nil {
		return err
	}
	// The token is on the standard input: in no argument, in no file.
	cmd := host.Command{
		Argv: []string{m.Program("kubeadm"), "join", "--config", "/dev/stdin"}, Stdin: bytes.NewReader(config),
		Env: p.Environment(m).Variables(), Limit: execute.KubeadmLimit,
	}
	secrets := []string{join.Token}
	if join.ControlPlane != nil {
		secrets = append(secrets, join.ControlPlane.CertificateKey)
	}
	if err := kubelet.RunKubeadm(ctx, p.Session, m, cmd, secrets...); err != nil {
		return err
	}
	m.Joined = true
	return m.Mark(ctx, execute.JoinMarker, execute.Finished)
}

// tokenLife is how long the token for some hosts is valid, of which so many join together: as long as the last of them may wait, and join.
func tokenLife(hosts, together int) time.Duration {
	waves := (max(hosts, 1) + together - 1) / together
	return 10*time.Minute + time.Duration(waves)*execute.KubeadmLimit
}

// invite makes a token with which hosts may join, so many at a time.
func (p *Kubeadm) invite(ctx context.Context, hosts, together int) (kubeadm.Join, error) {
	m := p.First()
	token, err := m.Ask(ctx, m.Program("kubeadm"), "token", "create", "--ttl", tokenLife(hosts, together).String(), "--kubeconfig", execute.AdminConfig)
	if err != nil {
		return kubeadm.Join{}, fmt.Errorf("making a token: %w", err)
	}
	certificate, err := m.Ask(ctx, "cat", "/etc/kubernetes/pki/ca.crt")
	if err != nil {
		return kubeadm.Join{}, err
	}
	hash, err := kubeadm.CAHash(certificate)
	if err != nil {
		return kubeadm.Join{}, err
	}
	return kubeadm.Join{
		KubernetesVersion: p.Kubernetes,
		Endpoint:          execute.Endpoint, Token: strings.TrimSpace(string(token)), CAHash: hash,
	}, nil
}
