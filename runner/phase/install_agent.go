package phase

import (
	"context"
	"errors"
	"os"

	"github.com/kubefile/kubefile/runner/agent"
	"github.com/kubefile/kubefile/runner/execute"
)

// installAgent copies the image's own runner to every host.
type installAgent struct{ *Cluster }

func (*installAgent) Title() string { return "Install the agent" }

func (p *installAgent) Run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "sealer-run-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file, sum, size, err := p.Artifact.Runner(ctx, dir)
	if err != nil {
		return err
	}
	install := func(ctx context.Context, m *execute.Member) error {
		there, err := m.Has(ctx, agent.Path, sum)
		if err != nil || (there && !m.IsNew) {
			return errors.Join(err, p.ClaimHost(ctx, m, p.State.ID))
		}
		m.NewAgent = true
		return p.Do(ctx, m, "copy the runner to "+agent.Path, func(ctx context.Context) error {
			if _, err := m.Ensure(ctx, agent.Binary{File: file, Digest: sum, Size: size}); err != nil {
				return err
			}
			return p.ClaimHost(ctx, m, p.State.ID)
		})
	}
	// The masters know of every host before there is anything on it.
	if err := p.Each(ctx, p.Targeted(p.Masters()), install); err != nil {
		return err
	}
	if err := p.enroll(ctx); err != nil {
		return err
	}
	return p.Each(ctx, p.Targeted(p.Nodes()), install)
}
