package agent

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
)

const (
	journalFile = "created.json"
	lockFile    = "created.lock"
	previousDir = "previous"
)

// entry is one thing that was made outside the cluster's directory.
type entry struct {
	Path string `json:"path"`
	// Dir says that it is a directory; it is removed if it is empty then.
	Dir bool `json:"dir,omitempty"`
	// Digest is of the content that was written last.
	Digest digest.Digest `json:"digest,omitempty"`
	// Previous is what was at Path before; nil when nothing was.
	Previous *previous `json:"previous,omitempty"`
}

// previous is a file that was overwritten. Its content is kept in previousDir,
// under its digest.
type previous struct {
	Digest digest.Digest `json:"digest"`
	Mode   fs.FileMode   `json:"mode"`
	UID    int           `json:"uid"`
	GID    int           `json:"gid"`
}

// journal remembers what was made, in the order it was made, and is on the disk
// before the thing itself is.
type journal struct {
	Version int     `json:"version"`
	Entries []entry `json:"entries"`

	root  *os.Root
	dir   string
	lock  *os.File
	isNew bool // there was no file
}

// openJournal opens the journal of a cluster's directory, for one process at a
// time. The directory is made if need be, and is the journal's first entry then.
func openJournal(dir string) (*journal, error) {
	if err := checkDir(dir); err != nil {
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
	j := &journal{Version: 1, root: root, dir: dir}
	if err := j.load(); err != nil {
		j.Close()
		return nil, err
	}
	for _, path := range made {
		j.add(entry{Path: path, Dir: true})
	}
	if j.isNew || len(made) > 0 {
		if err := j.save(); err != nil {
			j.Close()
			return nil, err
		}
	}
	return j, nil
}

// load takes the lock and reads the file.
func (j *journal) load() (err error) {
	if j.lock, err = j.root.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	if err := syscall.Flock(int(j.lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("locking the journal: %w", err)
	}
	if _, err := j.root.Stat(journalFile); errors.Is(err, fs.ErrNotExist) {
		j.isNew = true
	}
	if err := readJSON(j.root, journalFile, j); err != nil {
		return fmt.Errorf("journal in %s: %w", j.dir, err)
	}
	if j.Version != 1 {
		return fmt.Errorf("journal in %s: version %d is not known", j.dir, j.Version)
	}
	return nil
}

func (j *journal) save() error { return writeJSON(j.root, journalFile, j) }

// Close releases the lock.
func (j *journal) Close() error {
	if j.lock != nil {
		j.lock.Close()
	}
	return j.root.Close()
}

// find returns the entry of a path, or nil.
func (j *journal) find(path string) *entry {
	i := slices.IndexFunc(j.Entries, func(e entry) bool { return e.Path == path })
	if i < 0 {
		return nil
	}
	return &j.Entries[i]
}

func (j *journal) add(e entry) {
	if j.find(e.Path) == nil {
		j.Entries = append(j.Entries, e)
	}
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

// prepare journals that path is about to be written with content of this digest:
// the directories it needs, and what is there now.
func (j *journal) prepare(path string, content digest.Digest) error {
	dir := filepath.Dir(path)
	if !j.owns(path) {
		for _, missing := range missingDirs(dir) {
			j.add(entry{Path: missing, Dir: true})
		}
		if e := j.find(path); e != nil {
			e.Digest = content
		} else {
			kept, err := j.keep(path)
			if err != nil {
				return fmt.Errorf("keeping the present %s: %w", path, err)
			}
			j.add(entry{Path: path, Digest: content, Previous: kept})
		}
		if err := j.save(); err != nil {
			return err
		}
	}
	return os.MkdirAll(dir, 0o755)
}

// keep copies the file at path, if there is one, into previousDir.
func (j *journal) keep(path string) (*previous, error) {
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
	copied, err := createIncoming(j.root)
	if err != nil {
		return nil, err
	}
	defer copied.discard()
	sum := digest.Canonical.Digester()
	if _, err := io.Copy(io.MultiWriter(copied.File, sum.Hash()), f); err != nil {
		return nil, err
	}
	p := &previous{Digest: sum.Digest(), Mode: info.Mode().Perm()}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		p.UID, p.GID = int(owner.Uid), int(owner.Gid)
	}
	return p, copied.publish(p.file(), 0o600)
}

// file is where the content is kept.
func (p *previous) file() string {
	return previousDir + "/" + p.Digest.Encoded()
}

type removeRequest struct {
	Dir string `json:"dir"`
}

type removeAnswer struct {
	Left []string `json:"left"` // what was not removed, each with the reason
}

// removeCreated undoes the journal, the last entry first, and then removes the
// cluster's directory.
func removeCreated(r removeRequest) (removeAnswer, error) {
	answer := removeAnswer{Left: []string{}}
	if err := checkDir(r.Dir); err != nil {
		return answer, err
	}
	if _, err := os.Stat(filepath.Join(r.Dir, journalFile)); errors.Is(err, fs.ErrNotExist) {
		return answer, fmt.Errorf("%s has no journal %s: nothing of it was made by this program", r.Dir, journalFile)
	}
	if err := refuseMounts(r.Dir); err != nil {
		return answer, err
	}
	j, err := openJournal(r.Dir)
	if err != nil {
		return answer, err
	}
	defer j.Close()
	var parents []entry // of the directory itself: they go after it
	for _, e := range slices.Backward(j.Entries) {
		if e.Dir && (e.Path == j.dir || strings.HasPrefix(j.dir, e.Path+"/")) {
			parents = append(parents, e)
			continue
		}
		if reason := j.undo(e); reason != "" {
			answer.Left = append(answer.Left, e.Path+": "+reason)
		}
	}
	if err := j.removeDir(); err != nil {
		return answer, err
	}
	for _, e := range parents {
		if reason := j.undo(e); reason != "" {
			answer.Left = append(answer.Left, e.Path+": "+reason)
		}
	}
	return answer, nil
}

// undo makes one entry undone, or says why not.
func (j *journal) undo(e entry) string {
	if e.Dir {
		err := os.Remove(e.Path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "not empty, others use it"
		}
		return ""
	}
	if e.Previous == nil {
		if err := os.Remove(e.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err.Error()
		}
		return ""
	}
	now, err := digestOf(e.Path)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err.Error()
	case err == nil && now == e.Previous.Digest:
		return ""
	case err == nil && now != e.Digest:
		return "changed by others since; take out by hand what does not belong"
	}
	if err := j.restore(e); err != nil {
		return err.Error()
	}
	return ""
}

// restore puts back what was at the path before.
func (j *journal) restore(e entry) error {
	kept, err := j.root.Open(e.Previous.file())
	if err != nil {
		return err
	}
	defer kept.Close()
	return putFile(e.Path, kept, e.Previous.Mode, e.Previous.UID, e.Previous.GID)
}

// removeDir removes everything in the cluster's directory, the journal last, and
// the directory.
func (j *journal) removeDir() error {
	entries, err := readDir(j.root, ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == journalFile {
			continue
		}
		if err := j.root.RemoveAll(e.Name()); err != nil {
			return err
		}
	}
	if err := j.root.Remove(journalFile); err != nil {
		return err
	}
	return os.Remove(j.dir)
}

// refuseMounts fails when something is mounted below dir: removing would go on
// into it.
func refuseMounts(dir string) error {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
			return fmt.Errorf("%s is a mount point: unmount it first", fields[4])
		}
	}
	return nil
}

func digestOf(path string) (digest.Digest, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return digest.FromReader(f)
}
