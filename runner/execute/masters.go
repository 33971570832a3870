package execute

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kube"
)

// Masters are the hosts with a control plane, and those that get one.
func (s *Session) Masters() []*Member { return s.withRole(host.RoleMaster) }

// Nodes are the other hosts.
func (s *Session) Nodes() []*Member { return s.withRole(host.RoleNode) }

// First is the master that kubeadm init and the commands run on. In a cluster that exists it is one that is in it already, or one that has
// a control plane: what we noted of that may be lost.
func (s *Session) First() *Member {
	if s.Lead != nil {
		return s.Lead
	}
	masters := s.Masters()
	for _, is := range []func(*Member) bool{
		func(m *Member) bool { return m.Joined },
		func(m *Member) bool { return !m.IsNew && m.Kubernetes() },
	} {
		if at := slices.IndexFunc(masters, is); at >= 0 {
			return masters[at]
		}
	}
	return masters[0]
}

// Running says that a master was reached that has a control plane.
func (s *Session) Running() bool {
	return (s.Lead != nil || len(s.Masters()) > 0) && s.First().Joined
}

func (s *Session) withRole(role host.Role) []*Member {
	var with []*Member
	for _, m := range s.Members {
		if m.Host.Role == role {
			with = append(with, m)
		}
	}
	return with
}

// Member is the host with an address, or nil.
func (s *Session) Member(address string) *Member {
	for _, m := range s.Members {
		if m.String() == address {
			return m
		}
	}
	return nil
}

const (
	// APIPort is where the API servers of masters listen.
	APIPort = "6443"
	// AdminConfig is the administrator's kubeconfig, on masters.
	AdminConfig = "/etc/kubernetes/admin.conf"
	// KubectlCache is where our own calls of kubectl keep what they learn, in the cluster's directory.
	KubectlCache = "kubectl-cache"
)

// Kube is the API of the cluster, by the packed kubectl on the first master.
func (s *Session) Kube() kube.Kubectl { return s.KubeOn(s.First()) }

// Etcd is that of the cluster, asked on the first master.
func (s *Session) Etcd() kube.Etcd { return kube.Etcd{Kubectl: s.Kube(), Node: s.First().Name} }

// KubeOn is the API of a master that may not be the first.
func (s *Session) KubeOn(m *Member) kube.Kubectl { return m.Kube(0) }

// Kube is the API of a master, for calls that may take so long; 0: as long as a question.
func (m *Member) Kube(limit time.Duration) kube.Kubectl {
	return func(ctx context.Context, input []byte, args ...string) ([]byte, error) {
		cmd := m.KubectlCommand(args...)
		cmd.Stdin, cmd.Limit, cmd.ReadOnly = bytes.NewReader(input), limit, args[0] == "get"
		return host.Output(ctx, m.Conn, cmd)
	}
}

// KubectlCommand is a call of the packed kubectl on a master.
func (m *Member) KubectlCommand(args ...string) host.Command {
	return host.Command{Argv: append([]string{m.Program("kubectl"), "--kubeconfig", AdminConfig, "--cache-dir", m.Path(KubectlCache)}, args...), Root: true}
}

// Kubectl runs kubectl on the first master and returns what it prints.
func (s *Session) Kubectl(ctx context.Context, args ...string) ([]byte, error) {
	return s.Kube()(ctx, nil, args...)
}
