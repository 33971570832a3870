package reconfigure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/kubeadm/difference"
	"github.com/kubefile/kubefile/runner/kubelet"
)

const (
	// KubeletSettings is the configuration of the kubelet, as kubeadm writes it.
	KubeletSettings = "/var/lib/kubelet/config.yaml"
	// KubeletMarker says that the kubelet was started again after its settings changed.
	KubeletMarker = "kubelet-settings.started"
	stale         = "no longer"
	// nodePatience is how long a node may take to be ready after its kubelet was started again.
	nodePatience = 3 * time.Minute
)

// kubeletChange is what a host's kubelet is given.
type kubeletChange struct {
	before, after []byte // after is nil when the file has been written already
}

// kubeletChange looks at the settings of a host's kubelet; nil when nothing is to be done.
func (p *Phase) kubeletChange(ctx context.Context, m *execute.Member) (*kubeletChange, error) {
	before, err := m.Read(ctx, KubeletSettings)
	if err != nil {
		return nil, err
	}
	if len(before) == 0 {
		return nil, fmt.Errorf("%s: there is no %s", m, KubeletSettings)
	}
	after, err := difference.PatchText(before, p.Settings.of(difference.PartKubelet), p.Settings.wanted, p.Kubernetes, kubeadm.KubeletKind)
	if err != nil {
		return nil, fmt.Errorf("%s: reading %s: %w", m, KubeletSettings, err)
	}
	restart, err := m.Marked(ctx, KubeletMarker, stale)
	if err != nil || after == nil && !restart {
		return nil, err
	}
	return &kubeletChange{before, after}, nil
}

// changeKubelet writes the settings of a kubelet and starts it again, or puts back those that were there if the node does not get ready.
func (p *Phase) changeKubelet(ctx context.Context, m *execute.Member, change *kubeletChange) error {
	what := fmt.Sprintf("write %s and restart the kubelet: %s", KubeletSettings, named(p.Settings.of(difference.PartKubelet)))
	return p.Do(ctx, m, what, func(ctx context.Context) error {
		if err := m.Mark(ctx, KubeletMarker, stale); err != nil {
			return err
		}
		if change.after != nil {
			if err := replaceFile(ctx, p.Session, m, KubeletSettings, "644", change.after); err != nil {
				return err
			}
		}
		err := p.restartedKubelet(ctx, m)
		if err != nil && change.after != nil && ctx.Err() == nil {
			return p.earlierKubelet(ctx, m, change.before, err)
		}
		if err != nil {
			return err
		}
		return m.Mark(ctx, KubeletMarker, execute.Finished)
	})
}

// earlierKubelet puts the settings back with which the kubelet ran.
func (p *Phase) earlierKubelet(ctx context.Context, m *execute.Member, before []byte, failed error) error {
	back := replaceFile(ctx, p.Session, m, KubeletSettings, "644", before)
	if back == nil {
		back = p.restartedKubelet(ctx, m)
	}
	if back == nil {
		back = m.Mark(ctx, KubeletMarker, execute.Finished)
	}
	if back != nil {
		return errors.Join(failed, fmt.Errorf("its earlier settings could not be put back: %w", back))
	}
	return fmt.Errorf("%w\nthe kubelet runs again with its earlier settings; fix the new ones in the Clusterfile, then run the same command again", failed)
}

// restartedKubelet starts a kubelet again, and waits until it has said that its node is ready.
func (p *Phase) restartedKubelet(ctx context.Context, m *execute.Member) error {
	_, before, err := p.Kube().Heartbeat(ctx, m.Name)
	if err != nil {
		return err
	}
	if err := kubelet.Restart(ctx, m); err != nil {
		return err
	}
	why := errors.New("its kubelet has not reported yet")
	ready, err := execute.Until(ctx, cmp.Or(p.HealthWait, nodePatience), execute.PollInterval, func(ctx context.Context) (bool, error) {
		ready, at, asked := p.Kube().Heartbeat(ctx, m.Name)
		switch {
		case ctx.Err() != nil: // why is what was known before
		case asked != nil:
			why = asked // an API that does not answer may do so later
		case !ready && at != before:
			why = errors.New("its kubelet says that it is not")
		}
		return asked == nil && ready && at != before, nil
	})
	if ready || err != nil {
		return err
	}
	return kubelet.WithReasons(ctx, m, nodePatience, fmt.Errorf("node %s is not ready within %s after its kubelet was restarted: %w", m.Name, nodePatience, why))
}
