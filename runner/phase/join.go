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
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kube"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/plugin"
)

const joinMarker = "kubeadm-join.done"

// joinMasters makes the other masters join, one after the other: each is a new member of etcd, which takes them one at a time.
type joinMasters struct{ *Cluster }

func (*joinMasters) Title() string { return "Join the masters" }

func (p *joinMasters) Run(ctx context.Context) error {
	invite := sync.OnceValues(func() (kubeadm.Join, error) {
		join, err := p.invite(ctx, len(p.masters()), 1)
		if err != nil {
			return join, err
		}
		key, err := p.uploadCertificates(ctx)
		join.ControlPlane = &kubeadm.ControlPlane{CertificateKey: key}
		return join, err
	})
	if err := p.removeRemains(ctx, p.masters()); err != nil {
		return err
	}
	for _, m := range p.masters() {
		if m == p.first() {
			continue
		}
		if m.joined {
			if err := p.remark(ctx, m, joinMarker); err != nil {
				return err
			}
			continue
		}
		m.again = p.DryRun && !m.isNew
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
	configs := make([][]byte, len(p.members))
	err := p.each(ctx, p.masters(), func(ctx context.Context, m *member) (err error) {
		configs[m.index], err = m.read(ctx, m.path(initConfig))
		if err == nil && m.isNew && !p.DryRun { // this run wrote it
			configs[m.index], err = m.fetch(ctx, m.path(initConfig))
		}
		return err
	})
	if err != nil {
		return err
	}
	var config []byte
	for _, m := range p.masters() {
		if config == nil && len(configs[m.index]) > 0 {
			config = configs[m.index]
		}
	}
	return p.each(ctx, p.masters(), func(ctx context.Context, m *member) error {
		if len(configs[m.index]) > 0 || config == nil && !p.DryRun || p.DryRun && m == p.first() && !m.joined {
			return nil
		}
		return p.Do(ctx, m, "write "+m.path(initConfig), func(ctx context.Context) error {
			_, err := m.WriteFile(ctx, m.path(initConfig), secretMode, config)
			return err
		})
	})
}

// uploadCertificates puts the cluster's certificates, encrypted with a key that is returned, where kubeadm join finds them for two
// hours (Kubernetes documentation, "Creating Highly Available Clusters with kubeadm").
func (p *joinMasters) uploadCertificates(ctx context.Context) (string, error) {
	m := p.first()
	key := make([]byte, 32)
	rand.Read(key)
	site := p.initSite(m)
	site.CertificateKey = hex.EncodeToString(key)
	config, err := kubeadm.InitConfig(p.kubeadm, site)
	if err != nil {
		return "", err
	}
	argv := []string{m.program("kubeadm"), "init", "phase", "upload-certs", "--upload-certs", "--config", "/dev/stdin"}
	if _, err := host.Output(ctx, m.Conn, host.Command{Argv: argv, Stdin: bytes.NewReader(config), Root: true}); err != nil {
		return "", fmt.Errorf("uploading the certificates: %w", err)
	}
	return site.CertificateKey, nil
}

// joinNodes makes the nodes join, all at once.
type joinNodes struct{ *Cluster }

func (*joinNodes) Title() string { return "Join the nodes" }

func (p *joinNodes) Run(ctx context.Context) error {
	invite := sync.OnceValues(func() (kubeadm.Join, error) { return p.invite(ctx, len(p.nodes()), maxHosts) })
	if err := p.reregister(ctx); err != nil {
		return err
	}
	if err := p.removeRemains(ctx, p.nodes()); err != nil {
		return err
	}
	err := p.each(ctx, p.nodes(), func(ctx context.Context, m *member) error {
		if m.joined {
			return p.remark(ctx, m, joinMarker)
		}
		m.again = p.DryRun && !m.isNew
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
	registered := p.targeted(p.nodes())
	if !p.running() || !slices.ContainsFunc(registered, func(m *member) bool { return m.joined }) {
		return nil
	}
	nodes, err := p.kube().Nodes(ctx)
	if err != nil {
		return err
	}
	return p.each(ctx, registered, func(ctx context.Context, m *member) error {
		if _, there := nodes[m.name]; there || !m.joined {
			return nil
		}
		m.again = true
		return p.Do(ctx, m, "restart the kubelet, whose node "+m.name+" is no longer in the cluster", func(ctx context.Context) error {
			if err := p.noteAgain(ctx, m); err != nil {
				return err
			}
			if err := m.restartKubelet(ctx); err != nil {
				return err
			}
			return p.registered(ctx, m)
		})
	})
}

// registerPatience is how long a kubelet may take to register its node.
const registerPatience = time.Minute

// registered waits until the node of a host is in the cluster.
func (c *Cluster) registered(ctx context.Context, m *member) error {
	there, err := until(ctx, registerPatience, pollInterval, func(ctx context.Context) (bool, error) {
		there, _ := c.kube().HasNode(ctx, m.name, 10) // an API that does not answer may do so later
		return there, nil
	})
	if there || err != nil {
		return err
	}
	err = fmt.Errorf("%s: its kubelet runs, and node %s did not come back within %s. "+
		"To have it join again as a new node, run kubeadm reset on it, then the same command again", m, m.name, registerPatience)
	return m.withKubeletReasons(ctx, registerPatience, err)
}

// joinsAgain is what the marker of a plugin says whose host is about to become a new node: labels, taints and the like are gone with the old
// one.
const joinsAgain = "the host joins again"

// noteAgain has the plugins of PostJoin run again on a host that was a node before. It is noted on the host before its node is made: this run may be
// killed in between.
func (c *Cluster) noteAgain(ctx context.Context, m *member) error {
	if m.isNew {
		return nil
	}
	m.again = true
	step := &plugins{c, plugin.PostJoin}
	for _, one := range plugin.Order(c.plugins, plugin.PostJoin) {
		if err := m.mark(ctx, step.marker(one), joinsAgain); err != nil {
			return err
		}
	}
	return nil
}

// kubeadmJoin makes one host join. A master whose member etcd promoted too late for kubeadm joins again.
func (c *Cluster) kubeadmJoin(ctx context.Context, m *member, join kubeadm.Join) error {
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
func (c *Cluster) joinOnce(ctx context.Context, m *member, join kubeadm.Join) error {
	join.NodeName, join.Kubelet = m.name, c.kubelet(m)
	config, err := kubeadm.JoinConfig(c.kubeadm, join)
	if err != nil {
		return err
	}
	found, err := c.examineJoin(ctx, m, join.CAHash)
	switch {
	case err != nil:
		return err
	case found == inCluster:
		return c.rejoined(ctx, m, joinMarker)
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
	if err := c.kube().DeleteNode(ctx, m.name); err != nil {
		return err
	}
	if err := c.claim(ctx, m, agent.BegunKubeadmJoin); err != nil {
		return err
	}
	if err := c.noteAgain(ctx, m); err != nil {
		return err
	}
	// The token is on the standard input: in no argument, in no file.
	command := host.Command{Argv: []string{m.program("kubeadm"), "join", "--config", "/dev/stdin"}, Stdin: bytes.NewReader(config), Limit: kubeadmLimit}
	secrets := []string{join.Token}
	if join.ControlPlane != nil {
		secrets = append(secrets, join.ControlPlane.CertificateKey)
	}
	if err := c.runKubeadm(ctx, m, command, secrets...); err != nil {
		return err
	}
	m.joined = true
	return m.mark(ctx, joinMarker, finished)
}

// tokenLife is how long the token for some hosts is valid, of which so many join together: as long as the last of them may wait, and join.
func tokenLife(hosts, together int) time.Duration {
	waves := (max(hosts, 1) + together - 1) / together
	return 10*time.Minute + time.Duration(waves)*kubeadmLimit
}

// invite makes a token with which hosts may join, so many at a time.
func (c *Cluster) invite(ctx context.Context, hosts, together int) (kubeadm.Join, error) {
	m := c.first()
	token, err := m.ask(ctx, m.program("kubeadm"), "token", "create", "--ttl", tokenLife(hosts, together).String(), "--kubeconfig", adminConfig)
	if err != nil {
		return kubeadm.Join{}, fmt.Errorf("making a token: %w", err)
	}
	certificate, err := m.ask(ctx, "cat", "/etc/kubernetes/pki/ca.crt")
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

// kubectlCache is where our own calls of kubectl keep what they learn, in the cluster's directory.
const kubectlCache = "kubectl-cache"

// kube is the API of the cluster, by the packed kubectl on the first master.
func (c *Cluster) kube() kube.Kubectl { return c.kubeOn(c.first()) }

// etcd is that of the cluster, asked on the first master.
func (c *Cluster) etcd() kube.Etcd { return kube.Etcd{Kubectl: c.kube(), Node: c.first().name} }

// kubeOn is the API of a master that may not be the first.
func (c *Cluster) kubeOn(m *member) kube.Kubectl { return m.kube(0) }

// kube is the API of a master, for calls that may take so long; 0: as long as a question.
func (m *member) kube(limit time.Duration) kube.Kubectl {
	return func(ctx context.Context, input []byte, args ...string) ([]byte, error) {
		cmd := m.kubectlCommand(args...)
		cmd.Stdin, cmd.Limit = bytes.NewReader(input), limit
		return host.Output(ctx, m.Conn, cmd)
	}
}

// kubectlCommand is a call of the packed kubectl on a master.
func (m *member) kubectlCommand(args ...string) host.Command {
	return host.Command{Argv: append([]string{m.program("kubectl"), "--kubeconfig", adminConfig, "--cache-dir", m.path(kubectlCache)}, args...), Root: true}
}

// kubectl runs kubectl on the first master and returns what it prints.
func (c *Cluster) kubectl(ctx context.Context, args ...string) ([]byte, error) {
	return c.kube()(ctx, nil, args...)
}
