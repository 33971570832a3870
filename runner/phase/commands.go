package phase

import (
	"context"
	"path"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/state"
)

// commands runs the image's CMDs on the first master, in order, each once per artifact.
type commands struct{ *Cluster }

func (*commands) Title() string { return "Run the image's commands" }

func (p *commands) Run(ctx context.Context) error {
	m := p.first()
	for n, command := range p.Artifact.Description.Commands {
		key := state.CommandKey(p.Artifact.Digest, n, command)
		if p.state.Ran(key) {
			continue
		}
		err := p.Do(ctx, m, "run "+command.String(), func(ctx context.Context) error {
			if err := p.command(ctx, m, command); err != nil {
				return err
			}
			p.state.Commands = append(p.state.Commands, key)
			return p.save(ctx)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *commands) command(ctx context.Context, m *member, command imagespec.Command) error {
	rootfs := m.path("rootfs")
	env := environment.Merge(p.environment(m), environment.Set{
		"KUBECONFIG":   adminConfig,
		"KUBECACHEDIR": m.path(kubectlCache),
		"PATH":         path.Join(rootfs, "bin") + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	})
	argv := command.Exec
	if command.Shell != "" {
		argv = []string{"sh", "-c", command.Shell} // the image's author wrote it for a shell
	}
	return p.run(ctx, m, host.Command{Argv: argv, Env: env, Dir: path.Join(rootfs, p.Artifact.Description.WorkingDir)})
}
