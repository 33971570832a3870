package reconfigure

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kubeadm/difference"
	"github.com/kubefile/kubefile/runner/kubelet"
	"github.com/kubefile/kubefile/runner/store"
	"github.com/kubefile/kubefile/runner/unit"
)

//go:embed replace-file.sh
var replaceScript string

const (
	// EarlierManifest begins the names of files, in the cluster's directory, with the manifests with which static pods were healthy, while other
	// ones are tried.
	EarlierManifest = "earlier-"
	// podPatience is how long a static pod may take to run with another manifest and be ready.
	podPatience = 4 * time.Minute
)

// staticPod has kubeadm write the manifest of a static pod, and waits until the pod runs with it. If it does not, the manifest with which it was
// healthy comes back.
func (p *Phase) staticPod(ctx context.Context, m *execute.Member, part difference.Part, cluster string) error {
	if err := p.keepManifest(ctx, m, part); err != nil {
		return err
	}
	config, err := p.phaseConfig(m, cluster, "")
	if err != nil {
		return err
	}
	argv := []string{m.Program("kubeadm"), "init", "phase", "control-plane", part.Phase(), "--config", "/dev/stdin"}
	if err := p.Exec(ctx, m, host.Command{Argv: argv, Stdin: bytes.NewReader(config), Env: p.Environment(m).Variables(), Limit: execute.KubeadmLimit}); err != nil {
		return err
	}
	failed := p.restorer().runsManifest(ctx, m, part)
	if failed != nil && ctx.Err() == nil {
		if err := p.restorer().restoreManifest(ctx, m, part); err != nil {
			return errors.Join(failed, err)
		}
		return fmt.Errorf("%w\nits earlier manifest is back in place; fix the new settings in the Clusterfile, then run the same command again", failed)
	}
	if failed != nil {
		return failed
	}
	_, err = m.Ask(ctx, "rm", "-f", "--", m.Path(EarlierManifest+string(part)+".yaml"))
	return err
}

// restorer puts manifests of static pods back.
type restorer struct {
	*execute.Session
	wait time.Duration // how long a pod may take to be healthy; default podPatience
}

func (p *Phase) restorer() restorer { return restorer{p.Session, p.HealthWait} }

// keepManifest keeps the manifest of a static pod. One that an interrupted run kept is that with which the pod was healthy.
func (p *Phase) keepManifest(ctx context.Context, m *execute.Member, part difference.Part) error {
	kept := m.Path(EarlierManifest + string(part) + ".yaml")
	there, err := m.Holds(ctx, "test", "-e", kept)
	if err != nil || there {
		return err
	}
	manifest, err := m.Ask(ctx, "cat", execute.ManifestsDir+string(part)+".yaml")
	if err != nil {
		return err
	}
	_, err = m.WriteFile(ctx, kept, unit.SecretMode, manifest)
	return err
}

// runsManifest waits until a static pod runs as its manifest says, and the API of the master answers.
func (r restorer) runsManifest(ctx context.Context, m *execute.Member, part difference.Part) error {
	manifest, err := m.Ask(ctx, "cat", execute.ManifestsDir+string(part)+".yaml")
	if err != nil {
		return err
	}
	why := "no answer"
	runs, err := execute.Until(ctx, cmp.Or(r.wait, podPatience), execute.PollInterval, func(ctx context.Context) (bool, error) {
		api := r.KubeOn(m)
		_, failed := api(ctx, nil, "get", "--raw", "/readyz", "--request-timeout=10s")
		said, runs := "", false
		if failed == nil {
			runs, said, failed = api.RunsManifest(ctx, string(part), m.Name, manifest)
		}
		switch {
		case ctx.Err() != nil: // an answer that was cut off says nothing
			return false, nil
		case failed != nil:
			why = failed.Error()
			return false, nil
		}
		why = said
		return runs, nil
	})
	if runs || err != nil {
		return err
	}
	err = fmt.Errorf("%s is not healthy with its new settings within %s (%s); its last output is in crictl logs, or in /var/log/containers on that host", part, podPatience, why)
	return kubelet.WithReasons(ctx, m, podPatience, err)
}

// restoreManifest puts the manifest of a static pod back with which it was healthy.
func (r restorer) restoreManifest(ctx context.Context, m *execute.Member, part difference.Part) error {
	kept := m.Path(EarlierManifest + string(part) + ".yaml")
	manifest, err := m.Fetch(ctx, kept)
	if err != nil || len(manifest) == 0 {
		return err
	}
	if err := replaceFile(ctx, r.Session, m, execute.ManifestsDir+string(part)+".yaml", "600", manifest); err != nil {
		return fmt.Errorf("putting the earlier manifest of %s back: %w", part, err)
	}
	if err := r.runsManifest(ctx, m, part); err != nil {
		return fmt.Errorf("with its earlier manifest, too: %w", err)
	}
	_, err = m.Ask(ctx, "rm", "-f", "--", m.Path(EarlierManifest+string(part)+".yaml"))
	return err
}

// RestoreManifests puts manifests back that an interrupted run kept, if the API of the master does not answer: with what that run wrote it does not
// get healthy, or it has not been given the time. wait is how long each static pod may take to be healthy; 0: some minutes.
func RestoreManifests(ctx context.Context, s *execute.Session, t *store.Store, m *execute.Member, wait time.Duration) error {
	if t.State.Wanted == nil || len(t.State.Wanted.Mixed) == 0 {
		return nil
	}
	var kept []difference.Part
	for _, part := range staticPods() {
		there, err := m.Holds(ctx, "test", "-e", m.Path(EarlierManifest+string(part)+".yaml"))
		if err != nil {
			return err
		}
		if there {
			kept = append(kept, part)
		}
	}
	if len(kept) == 0 {
		return nil
	}
	if _, err := s.KubeOn(m)(ctx, nil, "get", "--raw", "/readyz", "--request-timeout=10s"); err == nil {
		return nil
	}
	return s.Do(ctx, m, "put back the earlier manifests of the control plane, which is not healthy since an interrupted run changed it", func(ctx context.Context) error {
		var failed []error
		for _, part := range kept {
			failed = append(failed, (restorer{s, wait}).restoreManifest(ctx, m, part))
		}
		return errors.Join(failed...)
	})
}
