package phase

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kubefile/kubefile/runner/agent"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/kubelet"
	"github.com/kubefile/kubefile/runner/reconfigure"
)

// kubeadmInit makes the first control plane.
type kubeadmInit struct{ *Cluster }

func (*kubeadmInit) Title() string { return "Start the control plane" }

const (
	// apiPatience is how long a control plane that exists may take to answer, as after a power cut.
	apiPatience = 3 * time.Minute
)

func (p *kubeadmInit) Run(ctx context.Context) error {
	m := p.First()
	if m.Joined {
		// A control plane that was complete once is never created again, whatever its state: that is for a person to decide.
		if err := reconfigure.RestoreManifests(ctx, &p.Session, &p.Store, m, p.healthWait); err != nil {
			return err
		}
		if err := p.await(ctx, m); err != nil {
			return err
		}
		return p.remark(ctx, m, execute.InitMarker)
	}
	found, err := p.examineFirst(ctx, m)
	if err != nil {
		return err
	}
	if found == inCluster {
		return errors.Join(p.rejoined(ctx, m, execute.InitMarker), p.recordJoined(ctx))
	}
	err = p.Do(ctx, m, "kubeadm init", func(ctx context.Context) error { return p.init(ctx, m, found) })
	if err != nil || p.DryRun {
		return err
	}
	return p.recordJoined(ctx)
}

// init runs kubeadm init, after what an interrupted one left has been cleared away, or going on with it.
func (p *kubeadmInit) init(ctx context.Context, m *execute.Member, found fate) error {
	config, err := kubeadm.InitConfig(p.kubeadm, p.initSite(m))
	if err != nil {
		return err
	}
	file := m.Path(initConfig)
	if _, err := m.WriteFile(ctx, file, 0o600, config); err != nil {
		return err
	}
	if err := p.Claim(ctx, m, p.State.ID, agent.BegunKubeadmInit); err != nil {
		return err
	}
	argv := []string{m.Program("kubeadm"), "init", "--config", file, "--skip-token-print"}
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
	if err := kubelet.RunKubeadm(ctx, &p.Session, m, host.Command{Argv: argv, Env: p.environment(m).Variables(), Limit: execute.KubeadmLimit}); err != nil {
		return err
	}
	m.Joined = true
	p.noteKubeadm()
	return m.Mark(ctx, execute.InitMarker, execute.Finished)
}

// reset clears away what an interrupted kubeadm left on a host, of which [Cluster.resettable] has said that it may. A node has no etcd: what
// is in its place is left alone.
func (c *Cluster) reset(ctx context.Context, m *execute.Member) error {
	c.Report.Line(m.String(), "cleaning up after an interrupted kubeadm")
	argv := []string{m.Program("kubeadm"), "reset", "--force", "--cri-socket", kubeadm.CRISocket}
	if !m.IsMaster() {
		argv = append(argv, "--skip-phases=remove-etcd-member")
	}
	return c.Exec(ctx, m, host.Command{Argv: argv, Env: c.environment(m).Variables(), Limit: execute.KubeadmLimit})
}

// remark writes the marker of a host that is in the cluster, if it is lost.
func (c *Cluster) remark(ctx context.Context, m *execute.Member, marker string) error {
	if m.Marker != "" || c.DryRun {
		return nil
	}
	m.Marker = marker
	return m.Mark(ctx, marker, execute.Finished)
}

// await waits until the API server of a master answers.
func (p *kubeadmInit) await(ctx context.Context, m *execute.Member) error {
	answers, err := execute.Until(ctx, apiPatience, execute.PollInterval, func(ctx context.Context) (bool, error) {
		return m.Holds(ctx, m.Program("kubectl"), "--kubeconfig", execute.AdminConfig, "--request-timeout=5s", "get", "--raw", "/readyz")
	})
	if answers || err != nil {
		return err
	}
	err = fmt.Errorf("%s: its API server does not answer: look at journalctl -u kubelet and crictl ps -a there", m)
	return kubelet.WithReasons(ctx, m, apiPatience, err)
}
