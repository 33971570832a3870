package phase

import (
	"bytes"
	"context"
	"io/fs"

	"github.com/opencontainers/go-digest"
)

// unitDir is where systemd looks for the administrator's units.
const unitDir = "/etc/systemd/system/"

// file is one file that a host needs, and what it is for.
type file struct {
	path    string
	mode    fs.FileMode
	content []byte
	restart bool // the unit has to read it anew
}

// same reports whether the host has the file. A secret is compared here: not even its digest may be an argument of a command.
func (m *member) same(ctx context.Context, f file) (bool, error) {
	if f.mode != secretMode {
		return m.has(ctx, f.path, digest.FromBytes(f.content))
	}
	old, err := m.read(ctx, f.path)
	return bytes.Equal(old, f.content), err
}

// installUnit writes the files of a unit that differ, and starts it if it does not run or is stale: if a file that it reads has changed,
// now or in a run that was interrupted. A marker says that it was started with the files that are there.
func (c *Cluster) installUnit(ctx context.Context, m *member, unit string, files []file) error {
	marker := unit + ".started"
	stale := false
	for _, f := range files {
		same, err := m.same(ctx, f)
		if err != nil {
			return err
		}
		if same {
			continue
		}
		err = c.Do(ctx, m, "write "+f.path, func(ctx context.Context) error {
			if f.restart && !stale {
				if err := m.mark(ctx, marker, "no longer"); err != nil {
					return err
				}
			}
			_, err := m.WriteFile(ctx, f.path, f.mode, f.content)
			return err
		})
		if err != nil {
			return err
		}
		stale = stale || f.restart
	}
	active, err := m.holds(ctx, "systemctl", "is-active", "--quiet", unit)
	if err != nil {
		return err
	}
	started, err := m.marked(ctx, marker, finished)
	if err != nil || (active && started && !stale) {
		return err
	}
	return c.Do(ctx, m, "start "+unit, func(ctx context.Context) error {
		for _, argv := range [][]string{
			{"systemctl", "daemon-reload"},
			{"systemctl", "enable", "--quiet", unit},
			{"systemctl", "restart", unit},
		} {
			if _, err := m.ask(ctx, argv...); err != nil {
				return err
			}
		}
		return m.mark(ctx, marker, finished)
	})
}
