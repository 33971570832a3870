package join

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/kubelet"
	"github.com/kubefile/kubefile/runner/membership"
	"github.com/kubefile/kubefile/runner/reconfigure"
)

// ControlPlane makes the first control plane.
type ControlPlane struct {
	*Kubeadm
	// Note notes in the state what the control plane was made with.
	Note func()
	// HealthWait is how long a static pod with its earlier manifest may take to be healthy; default that of [reconfigure.RestoreManifests].
	HealthWait time.Duration
}

// Title says what the phase does, for a person.
func (*ControlPlane) Title() string { return "Start the control plane" }

const (
	// apiPatience is how long a control plane that exists may take to answer, as after a power cut.
	apiPatience = 3 * time.Minute
)

// Run makes it on the first master, or waits for the one that is there.
func (p *ControlPlane) Run(ctx context.Context) error {
	m := p.First()
	if m.Joined {
		// A control plane that was complete once is never created again, whatever its state: that is for a person to decide.
		if err := reconfigure.RestoreManifests(ctx, p.Session, p.Store, m, p.HealthWait); err != nil {
			return err
		}
		if err := p.await(ctx, m); err != nil {
			return err
		}
		return p.Examiner.Remark(ctx, m, execute.InitMarker)
	}
	found, err := p.Examiner.ExamineFirst(ctx, m, *p.Documents)
	if err != nil {
		return err
	}
	if found == membership.InCluster {
		return errors.Join(p.Examiner.Rejoined(ctx, m, execute.InitMarker), p.RecordJoined(ctx, p.Session))
	}
	err = p.Do(ctx, m, "kubeadm init", func(ctx context.Context) error { return p.init(ctx, m, found) })
	if err != nil || p.DryRun {
		return err
	}
	return p.RecordJoined(ctx, p.Session)
}

// init runs kubeadm init, after what an interrupted one left has been cleared away, or going on with it.
func (p *ControlPlane) init(ctx context.Context, m *execute.Member, found membership.Fate) error {
	config, err := kubeadm.InitConfig(*p.Documents, p.KubeadmInit(m, *p.Documents, p.Kubernetes))
	if err != nil {
		return err
	}
	file := m.Path(execute.InitConfig)
	if _, err := m.WriteFile(ctx, file, 0o600, config); err != nil {
		return err
	}
	if err := p.Claim(ctx, m, p.State.ID, hostrecord.BegunKubeadmInit); err != nil {
		return err
	}
	argv := []string{m.Program("kubeadm"), "init", "--config", file, "--skip-token-print"}
	switch found {
	case membership.Half:
		if err := p.reset(ctx, m); err != nil {
			return err
		}
	case membership.Unfinished:
		p.Report.Line(m.String(), "resuming an interrupted kubeadm init")
		skipped := append(p.Documents.SkipPhases(), "preflight") // which refuses what is there
		argv = append(argv, "--skip-phases="+strings.Join(skipped, ","))
	}
	if err := kubelet.RunKubeadm(ctx, p.Session, m, host.Command{Argv: argv, Env: p.Environment(m).Variables(), Limit: execute.KubeadmLimit}); err != nil {
		return err
	}
	m.Joined = true
	p.Note()
	return m.Mark(ctx, execute.InitMarker, execute.Finished)
}

// await waits until the API server of a master answers.
func (p *ControlPlane) await(ctx context.Context, m *execute.Member) error {
	answers, err := execute.Until(ctx, apiPatience, execute.PollInterval, func(ctx context.Context) (bool, error) {
		return m.Holds(ctx, m.Program("kubectl"), "--kubeconfig", execute.AdminConfig, "--request-timeout=5s", "get", "--raw", "/readyz")
	})
	if answers || err != nil {
		return err
	}
	err = fmt.Errorf("%s: its API server does not answer: look at journalctl -u kubelet and crictl ps -a there", m)
	return kubelet.WithReasons(ctx, m, apiPatience, err)
}
