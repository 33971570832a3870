package phase

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/runner/agent"
	"github.com/kubefile/kubefile/runner/host"
)

// unitDir is where systemd looks for the administrator's units.
const unitDir = "/etc/systemd/system/"

// file is one file that a host needs, and what it is for.
type file struct {
	path    string
	mode    fs.FileMode
	content []byte
	restart bool // the unit has to read it again
}

// same reports whether the host has the file. A secret is compared here: not even its digest may be an argument of a command.
func (m *member) same(ctx context.Context, f file) (bool, error) {
	if f.mode != secretMode {
		return m.has(ctx, f.path, digest.FromBytes(f.content))
	}
	old, err := m.read(ctx, f.path)
	return bytes.Equal(old, f.content), err
}

// service is a systemd unit of ours: what it reads, and what it answers once it runs.
type service struct {
	unit    string
	files   []file
	answers []agent.Question
}

const (
	// unitPatience is how long a unit may take until it runs and answers.
	unitPatience = 30 * time.Second
	// unitLines and unitWidth bound what is repeated of a unit's journal.
	unitLines = 20
	unitWidth = 500
)

// UnitError says that a unit does not run or does not answer after it was started.
type UnitError struct {
	Host, Unit string
	State      agent.UnitState
}

// Error implements error. What the host wrote is repeated without what would control a terminal.
func (e *UnitError) Error() string {
	clean := func(text string) string {
		return cutText(host.WithoutControls(text), unitWidth)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s does not work: %s (state %s, %s; result %s, exit status %s)", e.Unit, clean(e.State.Why),
		orUnknown(clean(e.State.Active)), orUnknown(clean(e.State.Sub)), orUnknown(clean(e.State.Result)), orUnknown(clean(e.State.Status)))
	if len(e.State.Journal) > 0 {
		b.WriteString("; its journal ends with\n")
	}
	for _, line := range e.State.Journal[max(0, len(e.State.Journal)-unitLines):] {
		fmt.Fprintf(&b, "    %s\n", clean(line))
	}
	if len(e.State.Journal) == 0 {
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "  For more, run on %s: journalctl -u %s -n 50. If an address is in use, ss -ltnp shows by which program. Then run the same command again", e.Host, e.Unit)
	return b.String()
}

// installUnit writes the files of a unit that differ, and starts it if it does not work or is stale: if a file that it reads or the program
// that it runs has changed, now or in a run that was interrupted. A marker says that it was started with the files that are there.
func (c *Cluster) installUnit(ctx context.Context, m *member, s service) error {
	stale, err := c.writeUnitFiles(ctx, m, s)
	if err != nil {
		return err
	}
	works, err := c.unitWorks(ctx, m, s)
	if err != nil {
		return err
	}
	started, err := m.marked(ctx, s.marker(), finished)
	if err != nil || works && started && !stale {
		return err
	}
	return c.Do(ctx, m, "start "+s.unit, func(ctx context.Context) error {
		for _, argv := range [][]string{{"systemctl", "daemon-reload"}, {"systemctl", "enable", "--quiet", s.unit}} {
			if _, err := m.ask(ctx, argv...); err != nil {
				return err
			}
		}
		if err := m.restart(ctx, agent.Unit{Name: s.unit, Program: agent.Path, Answers: s.answers, Patience: unitPatience}); err != nil {
			return err
		}
		return m.mark(ctx, s.marker(), finished)
	})
}

// marker names the file that says that the unit was started.
func (s service) marker() string { return s.unit + ".started" }

// writeUnitFiles writes the files that differ, and reports whether the unit has to read one of them again.
func (c *Cluster) writeUnitFiles(ctx context.Context, m *member, s service) (stale bool, err error) {
	for _, f := range s.files {
		same, err := m.same(ctx, f)
		if err != nil {
			return stale, err
		}
		if same {
			continue
		}
		err = c.Do(ctx, m, "write "+f.path, func(ctx context.Context) error {
			if f.restart && !stale {
				if err := m.mark(ctx, s.marker(), "no longer"); err != nil {
					return err
				}
			}
			_, err := m.WriteFile(ctx, f.path, f.mode, f.content)
			return err
		})
		if err != nil {
			return stale, err
		}
		stale = stale || f.restart
	}
	return stale, nil
}

// unitWorks reports whether a unit runs the program that is installed, and answers. The agent is asked; a dry run in which it would be
// replaced knows that the unit would run the old one.
func (c *Cluster) unitWorks(ctx context.Context, m *member, s service) (bool, error) {
	if c.DryRun && (m.isNew || m.newAgent) {
		return false, nil
	}
	state, err := m.WatchUnit(ctx, agent.Unit{Name: s.unit, Program: agent.Path, Answers: s.answers})
	return state.Works, err
}

// restart starts a unit again and waits until it runs and answers: systemctl is content with a process that ends a moment later.
func (m *member) restart(ctx context.Context, u agent.Unit) error {
	_, failed := m.ask(ctx, "systemctl", "restart", u.Name)
	var exit *host.ExitError
	if failed != nil && !errors.As(failed, &exit) {
		return failed
	}
	if failed != nil {
		u.Patience = 0 // what is known now is all
	}
	state, err := m.WatchUnit(ctx, u)
	switch {
	case err != nil:
		return errors.Join(failed, err)
	case !state.Works:
		return &UnitError{Host: m.String(), Unit: u.Name, State: state}
	}
	return failed
}
