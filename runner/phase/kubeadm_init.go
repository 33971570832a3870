package phase

import (
	"context"
	"fmt"
	"time"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kubeadm"
)

// kubeadmInit makes the first control plane.
type kubeadmInit struct{ *Cluster }

func (*kubeadmInit) Title() string { return "Start the control plane" }

const (
	initMarker = "kubeadm-init.done"
	initConfig = "kubeadm-init.yaml"
	// apiPatience is how long a control plane that exists may take to answer, as after a power cut.
	apiPatience = 3 * time.Minute
)

func (p *kubeadmInit) Run(ctx context.Context) error {
	m := p.first()
	if m.joined {
		// A control plane that was complete once is never made anew, whatever its state: that is for a person to decide.
		return p.await(ctx, m)
	}
	return p.Do(ctx, m, "kubeadm init", func(ctx context.Context) error {
		config, err := kubeadm.InitConfig(p.kubeadm, p.initSite(m))
		if err != nil {
			return err
		}
		file := m.path(initConfig)
		if _, err := m.WriteFile(ctx, file, 0o600, config); err != nil {
			return err
		}
		if err := p.resetHalf(ctx, m); err != nil {
			return err
		}
		command := host.Command{Argv: []string{m.program("kubeadm"), "init", "--config", file, "--skip-token-print"}, Limit: kubeadmLimit}
		if err := p.run(ctx, m, command); err != nil {
			return err
		}
		m.joined = true
		return m.mark(ctx, initMarker, finished)
	})
}

// initSite is what the site decides about the control plane of a master.
func (c *Cluster) initSite(m *member) kubeadm.Init {
	sans := []string{endpointName, "127.0.0.1", "localhost"}
	for _, master := range c.masters() {
		sans = append(sans, master.String(), master.name)
	}
	return kubeadm.Init{
		KubernetesVersion: c.Artifact.Description.KubernetesVersion,
		Endpoint:          endpoint,
		AdvertiseAddress:  m.String(),
		NodeName:          m.name,
		CertSANs:          sans,
	}
}

// resetHalf clears away what an interrupted kubeadm left on a host. Preflight has made sure that no other Kubernetes was there.
func (c *Cluster) resetHalf(ctx context.Context, m *member) error {
	half, err := m.holds(ctx, "sh", "-c", "test -e /etc/kubernetes/kubelet.conf || test -e /etc/kubernetes/manifests || test -e /var/lib/etcd/member")
	if err != nil || !half {
		return err
	}
	c.Report.Line(m.String(), "clearing away an interrupted kubeadm")
	return c.run(ctx, m, host.Command{Argv: []string{m.program("kubeadm"), "reset", "--force"}, Limit: kubeadmLimit})
}

// await waits until the API server of a master answers.
func (p *kubeadmInit) await(ctx context.Context, m *member) error {
	limited, cancel := context.WithTimeout(ctx, apiPatience)
	defer cancel()
	for {
		answers, err := m.holds(limited, m.program("kubectl"), "--kubeconfig", adminConfig, "--request-timeout=5s", "get", "--raw", "/readyz")
		if answers {
			return nil
		}
		if limited.Err() != nil && ctx.Err() == nil {
			return fmt.Errorf("%s: its API server does not answer: look at journalctl -u kubelet and crictl ps -a there", m)
		}
		if err != nil {
			return err
		}
		if err := pause(limited, 2*time.Second); err != nil && ctx.Err() != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
