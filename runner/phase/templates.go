package phase

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/kubefile/kubefile/runner/agent"
	"github.com/kubefile/kubefile/runner/host"
)

// templates renders the rootfs's *.tmpl files on every host with that host's environment. All are tried on all hosts before the first is
// written anywhere.
type templates struct{ *Cluster }

func (*templates) Title() string { return "Render templates" }

func (p *templates) Run(ctx context.Context) error {
	if p.DryRun {
		return nil // what is to be rendered is known once the rootfs is on a host
	}
	for _, check := range []bool{true, false} {
		err := p.each(ctx, p.members, func(ctx context.Context, m *member) error {
			files, err := p.render(ctx, m, check)
			if err != nil {
				return fmt.Errorf("%s: %w", m, err)
			}
			if len(files) > 0 {
				p.Report.action(m, "render "+strings.Join(files, ", "))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *templates) render(ctx context.Context, m *member, check bool) (files []string, err error) {
	env, err := json.Marshal(p.environment(m))
	if err != nil {
		return nil, err
	}
	argv := []string{agent.Path, "render"}
	if check {
		argv = append(argv, "--check")
	}
	out, err := host.Output(ctx, m.Conn, host.Command{Argv: append(argv, m.path("rootfs")), Stdin: bytes.NewReader(env), Root: true})
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(out, &files); err != nil {
		return nil, fmt.Errorf("reading the agent's answer: %w", err)
	}
	return files, nil
}
