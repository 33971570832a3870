package phase

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kubefile/kubefile/runner/agent"
	"github.com/kubefile/kubefile/runner/command"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/kubelet"
	"github.com/kubefile/kubefile/runner/unit"
)

// joinMasters makes the other masters join, one after the other: each is a new member of etcd, which takes them one at a time.
type joinMasters struct{ *Cluster }

func (*joinMasters) Title() string { return "Join the masters" }

func (p *joinMasters) Run(ctx context.Context) error {
	invite := sync.OnceValues(func() (kubeadm.Join, error) {
		join, err := p.invite(ctx, len(p.Masters()), 1)
		if err != nil {
			return join, err
		}
		key, err := p.uploadCertificates(ctx)
		join.ControlPlane = &kubeadm.ControlPlane{CertificateKey: key}
		return join, err
	})
	if err := p.removeRemains(ctx, p.Masters()); err != nil {
		return err
	}
	for _, m := range p.Masters() {
		if m == p.First() {
			continue
		}
		if m.Joined {
			if err := p.remark(ctx, m, execute.JoinMarker); err != nil {
				return err
			}
			continue
		}
		m.Again = p.DryRun && !m.IsNew
		err := p.Do(ctx, m, "kubeadm join as a control plane", func(ctx context.Context) error {
			join, err := invite()
			if err != nil {
				return err
			}
			join.ControlPlane = &kubeadm.ControlPlane{CertificateKey: join.ControlPlane.CertificateKey, AdvertiseAddress: m.String()}
			return p.kubeadmJoin(ctx, m, join)
		})
		if err = errors.Join(err, p.recordJoined(ctx)); err != nil {
			return err
		}
	}
	return p.shareConfiguration(ctx)
}

// shareConfiguration gives every master that lacks it the configuration of kubeadm: any of them may be the first one day. What is on the
// masters decides, and not when they joined: a run may have been killed in between.
func (p *joinMasters) shareConfiguration(ctx context.Context) error {
	configs := make([][]byte, len(p.Members))
	err := p.Each(ctx, p.Masters(), func(ctx context.Context, m *execute.Member) (err error) {
		configs[m.Index], err = m.Read(ctx, m.Path(initConfig))
		if err == nil && m.IsNew && !p.DryRun { // this run wrote it
			configs[m.Index], err = m.Fetch(ctx, m.Path(initConfig))
		}
		return err
	})
	if err != nil {
		return err
	}
	var config []byte
	for _, m := range p.Masters() {
		if config == nil && len(configs[m.Index]) > 0 {
			config = configs[m.Index]
		}
	}
	return p.Each(ctx, p.Masters(), func(ctx context.Context, m *execute.Member) error {
		if len(configs[m.Index]) > 0 || config == nil && !p.DryRun || p.DryRun && m == p.First() && !m.Joined {
			return nil
		}
		return p.Do(ctx, m, "write "+m.Path(initConfig), func(ctx context.Context) error {
			_, err := m.WriteFile(ctx, m.Path(initConfig), unit.SecretMode, config)
			return err
		})
	})
}

// uploadCertificates puts the cluster's certificates, encrypted with a key that is returned, where kubeadm join finds them for two
// hours (Kubernetes documentation, "Creating Highly Available Clusters with kubeadm").
func (p *joinMasters) uploadCertificates(ctx context.Context) (string, error) {
	m := p.First()
	key := make([]byte, 32)
	rand.Read(key)
	site := p.initSite(m)
	site.CertificateKey = hex.EncodeToString(key)
	config, err := kubeadm.InitConfig(p.kubeadm, site)
	if err != nil {
		return "", err
	}
	argv := []string{m.Program("kubeadm"), "init", "phase", "upload-certs", "--upload-certs", "--config", "/dev/stdin"}
	if _, err := host.Output(ctx, m.Conn, host.Command{Argv: argv, Stdin: bytes.NewReader(config), Root: true}); err != nil {
		return "", fmt.Errorf("uploading the certificates: %w", err)
	}
	return site.CertificateKey, nil
}

// joinNodes makes the nodes join, all at once.
type joinNodes struct{ *Cluster }

func (*joinNodes) Title() string { return "Join the nodes" }

func (p *joinNodes) Run(ctx context.Context) error {
	invite := sync.OnceValues(func() (kubeadm.Join, error) { return p.invite(ctx, len(p.Nodes()), execute.MaxHosts) })
	if err := p.reregister(ctx); err != nil {
		return err
	}
	if err := p.removeRemains(ctx, p.Nodes()); err != nil {
		return err
	}
	err := p.Each(ctx, p.Nodes(), func(ctx context.Context, m *execute.Member) error {
		if m.Joined {
			return p.remark(ctx, m, execute.JoinMarker)
		}
		m.Again = p.DryRun && !m.IsNew
		return p.Do(ctx, m, "kubeadm join", func(ctx context.Context) error {
			join, err := invite()
			if err != nil {
				return err
			}
			return p.kubeadmJoin(ctx, m, join)
		})
	})
	return errors.Join(err, p.recordJoined(ctx))
}

// reregister makes kubelets of the cluster whose nodes are gone register them again.
func (p *joinNodes) reregister(ctx context.Context) error {
	registered := p.Targeted(p.Nodes())
	if !p.Running() || !slices.ContainsFunc(registered, func(m *execute.Member) bool { return m.Joined }) {
		return nil
	}
	nodes, err := p.Kube().Nodes(ctx)
	if err != nil {
		return err
	}
	return p.Each(ctx, registered, func(ctx context.Context, m *execute.Member) error {
		if _, there := nodes[m.Name]; there || !m.Joined {
			return nil
		}
		m.Again = true
		return p.Do(ctx, m, "restart the kubelet, whose node "+m.Name+" is no longer in the cluster", func(ctx context.Context) error {
			if err := command.NoteAgain(ctx, m, p.image.Plugins); err != nil {
				return err
			}
			if err := kubelet.Restart(ctx, m); err != nil {
				return err
			}
			return p.registered(ctx, m)
		})
	})
}

// registerPatience is how long a kubelet may take to register its node.
const registerPatience = time.Minute

// registered waits until the node of a host is in the cluster.
func (c *Cluster) registered(ctx context.Context, m *execute.Member) error {
	there, err := execute.Until(ctx, registerPatience, execute.PollInterval, func(ctx context.Context) (bool, error) {
		there, _ := c.Kube().HasNode(ctx, m.Name, 10) // an API that does not answer may do so later
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
func (c *Cluster) kubeadmJoin(ctx context.Context, m *execute.Member, join kubeadm.Join) error {
	err := c.joinOnce(ctx, m, join)
	if !isPromotedAlready(err) || ctx.Err() != nil {
		return err
	}
	c.Report.Line(m.String(), "etcd accepted the new member too late for kubeadm: joining again")
	return c.joinOnce(ctx, m, join)
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
func (c *Cluster) joinOnce(ctx context.Context, m *execute.Member, join kubeadm.Join) error {
	join.NodeName, join.Kubelet = m.Name, c.kubelet(m)
	config, err := kubeadm.JoinConfig(c.kubeadm, join)
	if err != nil {
		return err
	}
	found, err := c.examineJoin(ctx, m, join.CAHash)
	switch {
	case err != nil:
		return err
	case found == inCluster:
		return c.rejoined(ctx, m, execute.JoinMarker)
	case found == half:
		if err := c.reset(ctx, m); err != nil {
			return err
		}
		if err := c.leaveEtcdAfterReset(ctx, m); err != nil {
			return err
		}
	}
	// A join that was interrupted may have registered the node already, and kubeadm refuses a name that is taken. It is this host's:
	// examineJoin refuses that of another.
	if err := c.Kube().DeleteNode(ctx, m.Name); err != nil {
		return err
	}
	if err := c.Claim(ctx, m, c.State.ID, agent.BegunKubeadmJoin); err != nil {
		return err
	}
	if err := command.NoteAgain(ctx, m, c.image.Plugins); err != nil {
		return err
	}
	// The token is on the standard input: in no argument, in no file.
	command := host.Command{
		Argv: []string{m.Program("kubeadm"), "join", "--config", "/dev/stdin"}, Stdin: bytes.NewReader(config),
		Env: c.environment(m).Variables(), Limit: execute.KubeadmLimit,
	}
	secrets := []string{join.Token}
	if join.ControlPlane != nil {
		secrets = append(secrets, join.ControlPlane.CertificateKey)
	}
	if err := kubelet.RunKubeadm(ctx, &c.Session, m, command, secrets...); err != nil {
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
func (c *Cluster) invite(ctx context.Context, hosts, together int) (kubeadm.Join, error) {
	m := c.First()
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
		KubernetesVersion: c.Artifact.Description.KubernetesVersion,
		Endpoint:          endpoint, Token: strings.TrimSpace(string(token)), CAHash: hash,
	}, nil
}
