package agent

import (
	"encoding/json"
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
	// JournalFile, in the cluster's directory, is the journal of what was made on the host.
	JournalFile = "created.json"
	lockFile    = "created.lock"
	previousDir = "previous"
)

// entry is one thing that was made outside the cluster's directory.
type entry struct {
	Path string `json:"path"`
	// Dir says that it is a directory; it is removed if it is empty then.
	Dir bool `json:"dir,omitempty"`
	// Digest is of the content that was written last, Old of the content before that: a run may be killed between the two.
	Digest digest.Digest `json:"digest,omitempty"`
	Old    digest.Digest `json:"old,omitempty"`
	// Mode is the one that was written last; nil in a journal of version 1.
	Mode *fs.FileMode `json:"mode,omitempty"`
	// Previous is what was at Path before; nil when nothing was.
	Previous *previous `json:"previous,omitempty"`
	// Aside are the copies of what others had made of the file when it was written again.
	Aside []string `json:"aside,omitempty"`
	// Block is what the cluster has in a file that is not its own.
	Block *block `json:"block,omitempty"`
	// Kubeconfig says that it is one, of which only the cluster's parts are taken out when others changed it.
	Kubeconfig *kubeconfig `json:"kubeconfig,omitempty"`
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
	Version int `json:"version"`
	// Dir is the directory that the journal was begun for, when nothing of others was in it. Only then may all that is in it be removed.
	Dir     string  `json:"dir,omitempty"`
	Entries []entry `json:"entries"`

	root *os.Root
	dir  string
	lock *os.File
}

// journalVersion is written; version 1 is read, too.
const journalVersion = 2

// openJournal opens the journal of a cluster's directory, for one process at a
// time. The directory is made if need be, and is the journal's first entry then.
// One in which others have files already is refused with [ErrForeign].
func openJournal(dir string) (*journal, error) {
	if err := checkDir(dir); err != nil {
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
	data, err := readFile(j.root, JournalFile, maxState)
	if errors.Is(err, fs.ErrNotExist) {
		j.Version, j.Dir = journalVersion, j.dir
		for _, path := range made {
			j.add(entry{Path: path, Dir: true})
		}
		return j.save()
	}
	if err != nil {
		return err
	}
	if err := j.parse(data); err != nil {
		return fmt.Errorf("%s/%s: %w", j.dir, JournalFile, err)
	}
	for _, path := range made {
		j.add(entry{Path: path, Dir: true})
	}
	return nil
}

// parse reads a journal. One of version 1 becomes one of the present version, which says of its directory what can be known.
func (j *journal) parse(data []byte) error {
	if err := json.Unmarshal(data, j); err != nil {
		return fmt.Errorf("%w: damaged journal: %w", ErrDamaged, err)
	}
	switch j.Version {
	case journalVersion:
	case 1:
		j.Version, j.Dir = journalVersion, ""
		if e := j.find(j.dir); e != nil && e.Dir {
			j.Dir = j.dir
		}
	case 0:
		return fmt.Errorf("%w: damaged journal: it has no version", ErrDamaged)
	default:
		return fmt.Errorf("%w: unknown journal version %d; use the sealer-run that made the cluster, or a newer one", ErrInvalid, j.Version)
	}
	return nil
}

func (j *journal) save() error { return writeJSON(j.root, JournalFile, j) }

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

// prepare journals that path is about to be written with content of this digest
// and a mode: the directories it needs, and what is there now. What others made
// of it since it was written last is copied next to it.
func (j *journal) prepare(path string, content digest.Digest, mode fs.FileMode) error {
	dir := filepath.Dir(path)
	if j.owns(path) {
		return os.MkdirAll(dir, 0o755)
	}
	for _, missing := range missingDirs(dir) {
		j.add(entry{Path: missing, Dir: true})
	}
	e := j.find(path)
	if e == nil {
		kept, err := j.keep(path)
		if err != nil {
			return fmt.Errorf("keeping the present %s: %w", path, err)
		}
		j.add(entry{Path: path, Previous: kept})
		e = j.find(path)
	} else if err := e.rewrite(); err != nil {
		return err
	}
	e.Digest, e.Mode = content, &mode
	if err := j.save(); err != nil {
		return err
	}
	return os.MkdirAll(dir, 0o755)
}

// rewrite notes what a file is that is about to be written again.
func (e *entry) rewrite() error {
	now, err := digestOf(e.Path)
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

func digestOf(path string) (digest.Digest, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return digest.FromReader(f)
}
