package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/kubefile/kubefile/runner/host"
)

const (
	random1 = "[A-Z2-7]" // of [randomName]
	random6 = random1 + random1 + random1 + random1 + random1 + random1
	// TemporaryName is a pattern for the names of files in the cluster's directory that are being written.
	TemporaryName = "." + random6 + random6 + random6 + random6 + random1 + random1
)

// vacant reports whether names in a directory are only those of an empty file system, and of a first run that was killed.
func vacant(names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool {
		temporary, err := path.Match(TemporaryName, name)
		return err != nil || name != lockFile && name != lostAndFound && !temporary
	})
}

const lostAndFound = "lost+found"

// refuseLink refuses a cluster directory that is a link: it leads to someone else's directory.
func refuseLink(dir string) error {
	info, err := os.Lstat(dir)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return fmt.Errorf("%s: %w: it is a symbolic link; use the directory that it points to", dir, ErrForeign)
	}
	return nil
}

// refuseForeign fails when the directory has no journal, and has files. An application's directory in a cluster's is the cluster's.
func (j *journal) refuseForeign() error {
	if _, err := j.root.Stat(JournalFile); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	entries, err := readDir(j.root, ".")
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if vacant(names) || insideCluster(j.dir) {
		return nil
	}
	return notVacant(j.dir, names)
}

// appsDir is where a cluster's directory has those of applications.
const appsDir = "apps"

// insideCluster reports whether a directory is an application's in a cluster's.
func insideCluster(dir string) bool {
	apps := filepath.Dir(dir)
	cluster := &journal{dir: filepath.Dir(apps)}
	file := filepath.Join(cluster.dir, JournalFile)
	data, err := os.ReadFile(file)
	return filepath.Base(apps) == appsDir && err == nil && cluster.parse(data) == nil && checkOwner(file) == nil
}

func notVacant(dir string, names []string) error {
	slices.Sort(names)
	some := fmt.Sprintf("%.60q", names[:min(len(names), 3)])
	return fmt.Errorf("%s: %w: the directory is not empty (%s) and has no %s; choose another data root or cluster name, or move the files",
		dir, ErrForeign, some, JournalFile)
}

// checkOwner refuses a journal that someone other than root can write: it lists what root removes.
func checkOwner(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o022 != 0 || ok && int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("%s: %w: the file must belong to root and be writable only by root", path, ErrForeign)
	}
	return nil
}

// prove fails when the journal and the record do not say that the directory is the cluster's.
func (j *journal) prove(cluster, id string) error {
	if err := checkOwner(filepath.Join(j.dir, JournalFile)); err != nil {
		return err
	}
	record, err := readRecord(j.root)
	if err != nil {
		return err
	}
	s := Survey{dir: j.dir, journal: j, Record: record}
	return s.Prove(cluster, id)
}

// Survey is what a host's journal and record say, for people and for a removal.
type Survey struct {
	Record *Record // nil on hosts of earlier versions

	dir     string
	journal *journal
}

// Survey reads the host's journal and record; nil when there is no journal. It changes nothing and needs no agent on the host.
func (c Client) Survey(ctx context.Context) (*Survey, error) {
	data, err := host.Output(ctx, c.Conn, host.Command{
		Argv: []string{"sh", "-c", `[ ! -e "$1" ] || cat "$1"`, "sh", c.Dir + "/" + JournalFile},
		Root: true,
	})
	if err != nil {
		return nil, fmt.Errorf("reading the host's journal: %w", err)
	}
	if len(data) == 0 {
		empty, err := c.isFile(ctx, c.Dir+"/"+JournalFile)
		if err != nil || !empty {
			return nil, err
		}
	}
	s := &Survey{dir: c.Dir, journal: &journal{dir: c.Dir}}
	if err := s.journal.parse(data); err != nil {
		return nil, fmt.Errorf("%s: %s/%s: %w; nothing was removed: restore the file, or clean the host by hand", c.Conn.Host(), c.Dir, JournalFile, err)
	}
	s.Record, err = c.Record(ctx)
	return s, err
}

func (c Client) isFile(ctx context.Context, path string) (bool, error) {
	err := c.Conn.Run(ctx, host.Command{Argv: []string{"test", "-f", path}, Root: true})
	var exit *host.ExitError
	if errors.As(err, &exit) {
		return false, nil
	}
	return err == nil, err
}

// Prove fails with [ErrForeign] when the journal was begun for another directory or the record names another cluster. An empty ID is not
// compared.
func (s *Survey) Prove(cluster, id string) error {
	switch {
	case s.journal.Dir != "" && s.journal.Dir != s.dir:
		return fmt.Errorf("%s: %w: its %s was begun for %q, so this is a copy; nothing was removed", s.dir, ErrForeign, JournalFile, s.journal.Dir)
	case filepath.Base(s.dir) != cluster:
		return fmt.Errorf("%s: %w: it is not the directory of a cluster %s", s.dir, ErrForeign, cluster)
	case s.Record == nil:
		return nil
	case s.Record.Cluster != cluster:
		return fmt.Errorf("%s: %w: its %s names the cluster %q", s.dir, ErrForeign, RecordFile, s.Record.Cluster)
	case id != "" && s.Record.ID != id:
		return fmt.Errorf("%s: %w: its %s names a cluster with the ID %q, and this one has %q", s.dir, ErrForeign, RecordFile, s.Record.ID, id)
	}
	return nil
}

// ID is the cluster's, as far as the host knows it.
func (s *Survey) ID() string {
	if s.Record == nil {
		return ""
	}
	return s.Record.ID
}

// Lines are those that the cluster has in a file that others write too; none when it is not known to have any.
func (s *Survey) Lines(path, cluster string) []string {
	for _, e := range slices.Backward(s.journal.Entries) {
		if e.Path == path && e.Block != nil && e.Block.Mark == cluster {
			return e.Block.Lines
		}
	}
	return nil
}

// Removals returns, one line each, what a removal takes off the host if no one has changed it.
func (s *Survey) Removals() []string {
	var lines []string
	for _, e := range slices.Backward(s.journal.Entries) {
		switch {
		case e.Dir:
		case e.Block != nil:
			lines = append(lines, "take the cluster's lines out of "+e.Path)
		case e.Previous != nil:
			lines = append(lines, "restore "+e.Path)
		default:
			lines = append(lines, "remove "+e.Path)
		}
	}
	if s.journal.Dir == "" {
		return append(lines, "leave "+s.dir+", which may have been there before")
	}
	return append(lines, "remove "+s.dir)
}
