// Package unit installs systemd units of ours on a host: their files, and a start that counts only once the unit answers.
package unit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/report"
)

const (
	// Dir is where systemd looks for the administrator's units.
	Dir = "/etc/systemd/system/"
	// SecretMode is that of files that tell a password, its hash or a key.
	SecretMode = 0o600
)

// File is one file that a host needs, and what it is for.
type File struct {
	Path    string
	Mode    fs.FileMode
	Content []byte
	Restart bool // the unit has to read it again
}

// IsOn reports whether a host has the file. A secret is compared here: not even its digest may be an argument of a command.
func (f File) IsOn(ctx context.Context, m *execute.Member) (bool, error) {
	if f.Mode == SecretMode {
		return m.HasSecret(ctx, f.Path, f.Content)
	}
	return m.Has(ctx, f.Path, digest.FromBytes(f.Content))
}

// Service is a systemd unit of ours: what it reads, and what it answers once it runs.
type Service struct {
	Name    string
	Files   []File
	Answers []wire.Question
}

const (
	// Patience is how long a unit may take until it runs and answers.
	Patience = 30 * time.Second
	// maxLines and maxWidth bound what is repeated of a unit's journal.
	maxLines = 20
	maxWidth = 500
)

// Error says that a unit does not run or does not answer after it was started.
type Error struct {
	Host, Unit string
	State      wire.UnitState
}

// Error implements error. What the host wrote is repeated without what would control a terminal.
func (e *Error) Error() string {
	clean := func(text string) string {
		return report.Cut(host.WithoutControls(text), maxWidth)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s does not work: %s (state %s, %s; result %s, exit status %s)", e.Unit, clean(e.State.Why),
		report.OrUnknown(clean(e.State.Active)), report.OrUnknown(clean(e.State.Sub)), report.OrUnknown(clean(e.State.Result)), report.OrUnknown(clean(e.State.Status)))
	if len(e.State.Journal) > 0 {
		b.WriteString("; its journal ends with\n")
	}
	for _, line := range e.State.Journal[max(0, len(e.State.Journal)-maxLines):] {
		fmt.Fprintf(&b, "    %s\n", clean(line))
	}
	if len(e.State.Journal) == 0 {
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "  For more, run on %s: journalctl -u %s -n 50. If an address is in use, ss -ltnp shows by which program. Then run the same command again", e.Host, e.Unit)
	return b.String()
}

// Install writes the files of a unit that differ, and starts it if it does not work or is stale: if a file that it reads or the program
// that it runs has changed, now or in a run that was interrupted. A marker says that it was started with the files that are there.
func (u Service) Install(ctx context.Context, s *execute.Session, m *execute.Member) error {
	stale, err := u.write(ctx, s, m)
	if err != nil {
		return err
	}
	works, err := u.works(ctx, s, m)
	if err != nil {
		return err
	}
	started, err := m.Marked(ctx, u.marker(), execute.Finished)
	if err != nil || works && started && !stale {
		return err
	}
	return s.Do(ctx, m, "start "+u.Name, func(ctx context.Context) error {
		for _, argv := range [][]string{{"systemctl", "daemon-reload"}, {"systemctl", "enable", "--quiet", u.Name}} {
			if _, err := m.Ask(ctx, argv...); err != nil {
				return err
			}
		}
		if err := Restart(ctx, m, wire.Unit{Name: u.Name, Program: wire.Path, Answers: u.Answers, Patience: Patience}); err != nil {
			return err
		}
		return m.Mark(ctx, u.marker(), execute.Finished)
	})
}

// marker names the file that says that the unit was started.
func (u Service) marker() string { return u.Name + ".started" }

// write writes the files that differ, and reports whether the unit has to read one of them again.
func (u Service) write(ctx context.Context, s *execute.Session, m *execute.Member) (stale bool, err error) {
	for _, f := range u.Files {
		same, err := f.IsOn(ctx, m)
		if err != nil {
			return stale, err
		}
		if same {
			continue
		}
		err = s.Do(ctx, m, "write "+f.Path, func(ctx context.Context) error {
			if f.Restart && !stale {
				if err := m.Mark(ctx, u.marker(), "no longer"); err != nil {
					return err
				}
			}
			_, err := m.WriteFile(ctx, f.Path, f.Mode, f.Content)
			return err
		})
		if err != nil {
			return stale, err
		}
		stale = stale || f.Restart
	}
	return stale, nil
}

// works reports whether a unit runs the program that is installed, and answers. The agent is asked; a dry run in which it would be
// replaced knows that the unit would run the old one.
func (u Service) works(ctx context.Context, s *execute.Session, m *execute.Member) (bool, error) {
	if s.DryRun && (m.IsNew || m.NewAgent) {
		return false, nil
	}
	state, err := m.WatchUnit(ctx, wire.Unit{Name: u.Name, Program: wire.Path, Answers: u.Answers})
	return state.Works, err
}

// Restart starts a unit again and waits until it runs and answers: systemctl is content with a process that ends a moment later.
func Restart(ctx context.Context, m *execute.Member, u wire.Unit) error {
	_, failed := m.Ask(ctx, "systemctl", "restart", u.Name)
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
		return &Error{Host: m.String(), Unit: u.Name, State: state}
	}
	return failed
}

// ProtectHome is the value of ProtectHome (systemd.exec(5)) for a unit that reads files of the cluster's directory: with "true", the
// directories of users are empty for it.
func ProtectHome(dir string) string {
	for _, home := range []string{"/home", "/root", "/run/user"} {
		if dir == home || strings.HasPrefix(dir, home+"/") {
			return "false"
		}
	}
	return "true"
}
