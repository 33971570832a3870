package phase

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kubeadm"
)

// kubeadmJoin makes the nodes join, all at once.
type kubeadmJoin struct{ *Cluster }

func (*kubeadmJoin) Title() string { return "Join the nodes" }

const joinMarker = "kubeadm-join.done"

func (p *kubeadmJoin) Run(ctx context.Context) error {
	join := sync.OnceValues(func() (kubeadm.Join, error) { return p.invite(ctx) })
	return p.each(ctx, p.nodes(), func(ctx context.Context, m *member) error {
		there, err := m.marked(ctx, joinMarker, finished)
		if err != nil || there {
			return err
		}
		return p.Do(ctx, m, "kubeadm join", func(ctx context.Context) error {
			site, err := join()
			if err != nil {
				return err
			}
			return p.join(ctx, m, site)
		})
	})
}

func (p *kubeadmJoin) join(ctx context.Context, m *member, site kubeadm.Join) error {
	site.NodeName = m.name()
	documents, err := p.imageConfig(ctx, p.first())
	if err != nil {
		return err
	}
	config, err := kubeadm.JoinConfig(documents, site)
	if err != nil {
		return err
	}
	if err := p.resetHalf(ctx, m); err != nil {
		return err
	}
	// A join that was interrupted may have registered the node already, and kubeadm refuses a name that is taken.
	if _, err := p.kubectl(ctx, "delete", "node", m.name(), "--ignore-not-found"); err != nil {
		return err
	}
	// The token is on the standard input: in no argument, in no file.
	command := host.Command{Argv: []string{"bin/kubeadm", "join", "--config", "/dev/stdin"}, Stdin: bytes.NewReader(config)}
	if err := p.run(ctx, m, command); err != nil {
		return err
	}
	return m.mark(ctx, joinMarker, finished)
}

// invite makes a token with which hosts may join for half an hour.
func (p *kubeadmJoin) invite(ctx context.Context) (kubeadm.Join, error) {
	m := p.first()
	token, err := m.ask(ctx, m.path("rootfs", "bin", "kubeadm"), "token", "create", "--ttl", "30m", "--kubeconfig", adminConfig)
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
		KubernetesVersion: p.Artifact.Description.KubernetesVersion,
		Endpoint:          endpoint,
		Token:             strings.TrimSpace(string(token)),
		CAHash:            hash,
	}, nil
}

// kubectlCache is where our own calls of kubectl keep what they learn, in the cluster's directory.
const kubectlCache = "kubectl-cache"

// kubectl runs the packed kubectl on the first master and returns what it prints.
func (c *Cluster) kubectl(ctx context.Context, args ...string) ([]byte, error) {
	return c.kubectlInput(ctx, nil, args...)
}

func (c *Cluster) kubectlInput(ctx context.Context, input []byte, args ...string) ([]byte, error) {
	m := c.first()
	argv := append([]string{m.path("rootfs", "bin", "kubectl"), "--kubeconfig", adminConfig, "--cache-dir", m.path(kubectlCache)}, args...)
	return host.Output(ctx, m.Conn, host.Command{Argv: argv, Stdin: bytes.NewReader(input), Root: true})
}
