package phase

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kubefile/kubefile/runner/agent"
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
		// A control plane that was complete once is never created again, whatever its state: that is for a person to decide.
		if err := p.await(ctx, m); err != nil {
			return err
		}
		return p.remark(ctx, m, initMarker)
	}
	found, err := p.examineFirst(ctx, m)
	if err != nil {
		return err
	}
	if found == inCluster {
		return errors.Join(p.rejoined(ctx, m, initMarker), p.recordJoined(ctx))
	}
	err = p.Do(ctx, m, "kubeadm init", func(ctx context.Context) error { return p.init(ctx, m, found) })
	if err != nil || p.DryRun {
		return err
	}
	return p.recordJoined(ctx)
}

// init runs kubeadm init, after what an interrupted one left has been cleared away, or going on with it.
func (p *kubeadmInit) init(ctx context.Context, m *member, found fate) error {
	config, err := kubeadm.InitConfig(p.kubeadm, p.initSite(m))
	if err != nil {
		return err
	}
	file := m.path(initConfig)
	if _, err := m.WriteFile(ctx, file, 0o600, config); err != nil {
		return err
	}
	if err := p.claim(ctx, m, agent.BegunKubeadmInit); err != nil {
		return err
	}
	argv := []string{m.program("kubeadm"), "init", "--config", file, "--skip-token-print"}
	switch found {
	case half:
		if err := p.reset(ctx, m); err != nil {
			return err
		}
	case unfinished:
		p.Report.Line(m.String(), "resuming an interrupted kubeadm init")
		skipped := append(p.kubeadm.SkipPhases(), "preflight") // which refuses what is there
		argv = append(argv, "--skip-phases="+strings.Join(skipped, ","))
	}
	if err := p.runKubeadm(ctx, m, host.Command{Argv: argv, Limit: kubeadmLimit}); err != nil {
		return err
	}
	m.joined = true
	p.noteKubeadm()
	return m.mark(ctx, initMarker, finished)
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
		Kubelet:           c.kubelet(m),
		CertSANs:          sans,
	}
}

// reset clears away what an interrupted kubeadm left on a host, of which [Cluster.resettable] has said that it may. A node has no etcd: what
// is in its place is left alone.
func (c *Cluster) reset(ctx context.Context, m *member) error {
	c.Report.Line(m.String(), "cleaning up after an interrupted kubeadm")
	argv := []string{m.program("kubeadm"), "reset", "--force", "--cri-socket", kubeadm.CRISocket}
	if !m.isMaster() {
		argv = append(argv, "--skip-phases=remove-etcd-member")
	}
	return c.run(ctx, m, host.Command{Argv: argv, Limit: kubeadmLimit})
}

// remark writes the marker of a host that is in the cluster, if it is lost.
func (c *Cluster) remark(ctx context.Context, m *member, marker string) error {
	if m.marker != "" || c.DryRun {
		return nil
	}
	m.marker = marker
	return m.mark(ctx, marker, finished)
}

// await waits until the API server of a master answers.
func (p *kubeadmInit) await(ctx context.Context, m *member) error {
	answers, err := until(ctx, apiPatience, pollInterval, func(ctx context.Context) (bool, error) {
		return m.holds(ctx, m.program("kubectl"), "--kubeconfig", adminConfig, "--request-timeout=5s", "get", "--raw", "/readyz")
	})
	if answers || err != nil {
		return err
	}
	err = fmt.Errorf("%s: its API server does not answer: look at journalctl -u kubelet and crictl ps -a there", m)
	return m.withKubeletReasons(ctx, apiPatience, err)
}
