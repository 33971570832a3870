// Package journal makes files on a host for a cluster, and undoes them: what is made outside of the cluster's directory is noted first, so that
// all of it can be taken back, and nothing of others with it.
package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/runner/agent/clusterdir"
	"github.com/kubefile/kubefile/runner/agent/hostrecord"
)

const lockFile = "created.lock"

// journal is the one of a cluster's directory, open. It is on the disk before the thing itself is.
type journal struct {
	hostrecord.Journal
	root *os.Root
	dir  string
	lock *os.File
}

// openJournal opens the journal of a cluster's directory, for one process at a
// time. The directory is made if need be, and is the journal's first entry then.
// One in which others have files already is refused with [wire.ErrForeign].
func openJournal(dir string) (*journal, error) {
	if err := clusterdir.CheckDir(dir); err != nil {
		return nil, err
	}
	if err := refuseLink(dir); err != nil {
		return nil, err
	}
	made := missingDirs(dir) // a run killed right here leaves an empty directory behind
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	j := &journal{root: root, dir: dir}
	if err := j.open(made); err != nil {
		j.Close()
		return nil, err
	}
	return j, nil
}

// open locks and reads the journal, or begins it.
func (j *journal) open(made []string) (err error) {
	if err := j.refuseForeign(); err != nil {
		return err
	}
	if j.lock, err = j.root.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	if err := syscall.Flock(int(j.lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("locking the journal: %w", err)
	}
	data, err := clusterdir.ReadFile(j.root, hostrecord.JournalFile, clusterdir.MaxState)
	if errors.Is(err, fs.ErrNotExist) {
		j.Version, j.Dir = hostrecord.JournalVersion, j.dir
		for _, path := range made {
			j.Add(hostrecord.Entry{Path: path, Dir: true})
		}
		return j.save()
	}
	if err != nil {
		return err
	}
	if err := j.Parse(data, j.dir); err != nil {
		return fmt.Errorf("%s/%s: %w", j.dir, hostrecord.JournalFile, err)
	}
	for _, path := range made {
		j.Add(hostrecord.Entry{Path: path, Dir: true})
	}
	return nil
}

func (j *journal) save() error {
	return clusterdir.WriteJSON(j.root, hostrecord.JournalFile, j.Journal)
}

// Close releases the lock.
func (j *journal) Close() error {
	if j.lock != nil {
		j.lock.Close()
	}
	return j.root.Close()
}

// owns says whether a path is inside the cluster's directory, which is removed
// as a whole and needs no entries.
func (j *journal) owns(path string) bool {
	return path == j.dir || strings.HasPrefix(path, j.dir+"/")
}

// missingDirs returns the directories that would have to be made for path to be
// one, outermost first.
func missingDirs(path string) []string {
	var missing []string
	for ; path != "/" && path != "."; path = filepath.Dir(path) {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		missing = append(missing, path)
	}
	slices.Reverse(missing)
	return missing
}

// prepare journals that path is about to be written with content of this digest
// and a mode: the directories it needs, and what is there now. What others made
// of it since it was written last is copied next to it.
func (j *journal) prepare(path string, content digest.Digest, mode fs.FileMode) error {
	dir := filepath.Dir(path)
	if j.owns(path) {
		return os.MkdirAll(dir, 0o755)
	}
	for _, missing := range missingDirs(dir) {
		j.Add(hostrecord.Entry{Path: missing, Dir: true})
	}
	e := j.Find(path)
	if e == nil {
		kept, err := j.keep(path)
		if err != nil {
			return fmt.Errorf("keeping the present %s: %w", path, err)
		}
		j.Add(hostrecord.Entry{Path: path, Previous: kept})
		e = j.Find(path)
	} else if err := rewrite(e); err != nil {
		return err
	}
	e.Digest, e.Mode = content, &mode
	if err := j.save(); err != nil {
		return err
	}
	return os.MkdirAll(dir, 0o755)
}

// rewrite notes what a file is that is about to be written again.
func rewrite(e *hostrecord.Entry) error {
	now, err := clusterdir.DigestOf(e.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Old = ""
	case err != nil:
		return err
	case now == e.Digest:
		e.Old = e.Digest
	case now == e.Old:
	case e.Previous != nil && now == e.Previous.Digest:
		e.Old = ""
	default:
		aside, err := copyAside(e.Path)
		if err != nil {
			return fmt.Errorf("keeping what others made of %s: %w", e.Path, err)
		}
		e.Old, e.Aside = "", append(e.Aside, aside)
	}
	return nil
}

// keep copies the file at path, if there is one, into previousDir.
func (j *journal) keep(path string) (*hostrecord.Previous, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	copied, err := clusterdir.CreateIncoming(j.root)
	if err != nil {
		return nil, err
	}
	defer copied.Discard()
	sum := digest.Canonical.Digester()
	if _, err := io.Copy(io.MultiWriter(copied.File, sum.Hash()), f); err != nil {
		return nil, err
	}
	p := &hostrecord.Previous{Digest: sum.Digest(), Mode: info.Mode().Perm()}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		p.UID, p.GID = int(owner.Uid), int(owner.Gid)
	}
	return p, copied.Publish(p.File(), 0o600)
}
