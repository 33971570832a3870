package phase

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/kubefile/kubefile/runner/agent"
	"github.com/kubefile/kubefile/runner/host"
)

// templates renders the rootfs's *.tmpl files on every host with that host's environment. All are tried on all hosts before the first is
// written anywhere.
type templates struct{ *Cluster }

func (*templates) Title() string { return "Render templates" }

const templatesMarker = "templates.done"

func (p *templates) Run(ctx context.Context) error {
	var mu sync.Mutex
	var due []*member
	err := p.each(ctx, p.members, func(ctx context.Context, m *member) error {
		done, err := m.marked(ctx, templatesMarker, p.key(m))
		if err != nil || done {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		due = append(due, m)
		return nil
	})
	if err != nil {
		return err
	}
	if !p.DryRun { // what there is to render is known once the rootfs is on a host
		err := p.each(ctx, due, func(ctx context.Context, m *member) error { return p.render(ctx, m, "--check") })
		if err != nil {
			return err
		}
	}
	return p.each(ctx, due, func(ctx context.Context, m *member) error {
		return p.Do(ctx, m, "render the templates", func(ctx context.Context) error {
			if err := p.render(ctx, m); err != nil {
				return err
			}
			return m.mark(ctx, templatesMarker, p.key(m))
		})
	})
}

// render lets the agent render, and prints which files that changed.
func (p *templates) render(ctx context.Context, m *member, flags ...string) error {
	env, err := json.Marshal(p.environment(m))
	if err != nil {
		return err
	}
	argv := append([]string{agent.Path, "render"}, flags...)
	out, err := host.Output(ctx, m.Conn, host.Command{Argv: append(argv, m.path("rootfs")), Stdin: bytes.NewReader(env), Root: true})
	if err != nil {
		return err
	}
	var files []string
	if err := json.Unmarshal(out, &files); err != nil {
		return fmt.Errorf("%s: reading the agent's answer: %w", m, err)
	}
	for _, name := range files {
		p.Report.Line(m.String(), fmt.Sprintf("rendered %q", name))
	}
	return nil
}
