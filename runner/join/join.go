package join

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/kubefile/kubefile/runner/command"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/kubelet"
	"github.com/kubefile/kubefile/runner/unit"
)

// Masters makes the other masters join, one after the other: each is a new member of etcd, which takes them one at a time.
type Masters struct{ *Kubeadm }

// Title says what the phase does, for a person.
func (*Masters) Title() string { return "Join the masters" }

// Run makes them join, and gives all masters the configuration of kubeadm.
func (p *Masters) Run(ctx context.Context) error {
	invite := sync.OnceValues(func() (kubeadm.Join, error) {
		join, err := p.invite(ctx, len(p.Masters()), 1)
		if err != nil {
			return join, err
		}
		key, err := p.uploadCertificates(ctx)
		join.ControlPlane = &kubeadm.ControlPlane{CertificateKey: key}
		return join, err
	})
	if err := p.Examiner.RemoveRemains(ctx, p.Masters()); err != nil {
		return err
	}
	for _, m := range p.Masters() {
		if m == p.First() {
			continue
		}
		if m.Joined {
			if err := p.Examiner.Remark(ctx, m, execute.JoinMarker); err != nil {
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
		if err = errors.Join(err, p.RecordJoined(ctx, p.Session)); err != nil {
			return err
		}
	}
	return p.shareConfiguration(ctx)
}

// shareConfiguration gives every master that lacks it the configuration of kubeadm: any of them may be the first one day. What is on the
// masters decides, and not when they joined: a run may have been killed in between.
func (p *Masters) shareConfiguration(ctx context.Context) error {
	configs := make([][]byte, len(p.Members))
	err := p.Each(ctx, p.Masters(), func(ctx context.Context, m *execute.Member) (err error) {
		configs[m.Index], err = m.Read(ctx, m.Path(execute.InitConfig))
		if err == nil && m.IsNew && !p.DryRun { // this run wrote it
			configs[m.Index], err = m.Fetch(ctx, m.Path(execute.InitConfig))
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
		return p.Do(ctx, m, "write "+m.Path(execute.InitConfig), func(ctx context.Context) error {
			_, err := m.WriteFile(ctx, m.Path(execute.InitConfig), unit.SecretMode, config)
			return err
		})
	})
}

// uploadCertificates puts the cluster's certificates, encrypted with a key that is returned, where kubeadm join finds them for two
// hours (Kubernetes documentation, "Creating Highly Available Clusters with kubeadm").
func (p *Masters) uploadCertificates(ctx context.Context) (string, error) {
	m := p.First()
	key := make([]byte, 32)
	rand.Read(key)
	site := p.KubeadmInit(m, *p.Documents, p.Kubernetes)
	site.CertificateKey = hex.EncodeToString(key)
	config, err := kubeadm.InitConfig(*p.Documents, site)
	if err != nil {
		return "", err
	}
	argv := []string{m.Program("kubeadm"), "init", "phase", "upload-certs", "--upload-certs", "--config", "/dev/stdin"}
	if _, err := host.Output(ctx, m.Conn, host.Command{Argv: argv, Stdin: bytes.NewReader(config), Root: true}); err != nil {
		return "", fmt.Errorf("uploading the certificates: %w", err)
	}
	return site.CertificateKey, nil
}

// Nodes makes the nodes join, all at once.
type Nodes struct{ *Kubeadm }

// Title says what the phase does, for a person.
func (*Nodes) Title() string { return "Join the nodes" }

// Run makes them join, and nodes that were removed from the API register again.
func (p *Nodes) Run(ctx context.Context) error {
	invite := sync.OnceValues(func() (kubeadm.Join, error) { return p.invite(ctx, len(p.Nodes()), execute.MaxHosts) })
	if err := p.reregister(ctx); err != nil {
		return err
	}
	if err := p.Examiner.RemoveRemains(ctx, p.Nodes()); err != nil {
		return err
	}
	err := p.Each(ctx, p.Nodes(), func(ctx context.Context, m *execute.Member) error {
		if m.Joined {
			return p.Examiner.Remark(ctx, m, execute.JoinMarker)
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
	return errors.Join(err, p.RecordJoined(ctx, p.Session))
}

// reregister makes kubelets of the cluster whose nodes are gone register them again.
func (p *Nodes) reregister(ctx context.Context) error {
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
			if err := command.NoteAgain(ctx, m, *p.Plugins); err != nil {
				return err
			}
			if err := kubelet.Restart(ctx, m); err != nil {
				return err
			}
			return p.registered(ctx, m)
		})
	})
}
