package phase

import (
	"context"
	"os"

	"github.com/kubefile/kubefile/runner/agent"
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
	return p.each(ctx, p.members, func(ctx context.Context, m *member) error {
		there, err := m.has(ctx, agent.Path, sum)
		if err != nil || (there && !m.isNew) {
			return err
		}
		return p.Do(ctx, m, "copy the runner to "+agent.Path, func(ctx context.Context) error {
			_, err := m.Ensure(ctx, agent.Binary{File: file, Digest: sum, Size: size})
			return err
		})
	})
}
