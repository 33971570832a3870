package hostrecord

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/runner/agent/wire"
)

// Kubeconfig is what of a cluster is in a kubeconfig.
type Kubeconfig struct {
	Server    string `json:"server"`
	Authority string `json:"authority,omitempty"` // certificate-authority-data, which is not secret
	// Cache says that the entry is the directory of kubectl's cache next to the kubeconfig, which was not there before.
	Cache bool `json:"cache,omitempty"`
}

// JournalFile is the file in the cluster's directory that has the journal of what was made on the host.
const JournalFile = "created.json"

// PreviousDir is the directory, in the cluster's directory, for files that were overwritten.
const PreviousDir = "previous"

// Entry is one thing that was made outside the cluster's directory.
type Entry struct {
	Path string `json:"path"`
	// Dir says that it is a directory; it is removed if it is empty then.
	Dir bool `json:"dir,omitempty"`
	// Digest is of the content that was written last, Old of the content before that: a run may be killed between the two.
	Digest digest.Digest `json:"digest,omitempty"`
	Old    digest.Digest `json:"old,omitempty"`
	// Mode is the one that was written last; nil in a journal of version 1.
	Mode *fs.FileMode `json:"mode,omitempty"`
	// Previous is what was at Path before; nil when nothing was.
	Previous *Previous `json:"previous,omitempty"`
	// Aside are the copies of what others had made of the file when it was written again.
	Aside []string `json:"aside,omitempty"`
	// Block is what the cluster has in a file that is not its own.
	Block *Block `json:"block,omitempty"`
	// Kubeconfig says that it is one, of which only the cluster's parts are taken out when others changed it.
	Kubeconfig *Kubeconfig `json:"kubeconfig,omitempty"`
}

// Previous is a file that was overwritten. Its content is kept in previousDir,
// under its digest.
type Previous struct {
	Digest digest.Digest `json:"digest"`
	Mode   fs.FileMode   `json:"mode"`
	UID    int           `json:"uid"`
	GID    int           `json:"gid"`
}

// Journal lists what was made outside of a cluster's directory, in the order it was made.
type Journal struct {
	Version int `json:"version"`
	// Dir is the directory that the journal was begun for, when nothing of others was in it. Only then may all that is in it be removed.
	Dir     string  `json:"dir,omitempty"`
	Entries []Entry `json:"entries"`
}

// JournalVersion is written; version 1 is read, too.
const JournalVersion = 2

// Parse reads the journal of a directory. One of version 1 becomes one of the present version, which says of its directory what can be known.
func (j *Journal) Parse(data []byte, dir string) error {
	if err := json.Unmarshal(data, j); err != nil {
		return fmt.Errorf("%w: damaged journal: %w", wire.ErrDamaged, err)
	}
	switch j.Version {
	case JournalVersion:
	case 1:
		j.Version, j.Dir = JournalVersion, ""
		if e := j.Find(dir); e != nil && e.Dir {
			j.Dir = dir
		}
	case 0:
		return fmt.Errorf("%w: damaged journal: it has no version", wire.ErrDamaged)
	default:
		return fmt.Errorf("%w: unknown journal version %d; use the sealer-run that made the cluster, or a newer one", wire.ErrInvalid, j.Version)
	}
	return nil
}

// Find returns the entry of a path, or nil.
func (j *Journal) Find(path string) *Entry {
	i := slices.IndexFunc(j.Entries, func(e Entry) bool { return e.Path == path })
	if i < 0 {
		return nil
	}
	return &j.Entries[i]
}

// Add adds an entry, unless the path has one.
func (j *Journal) Add(e Entry) {
	if j.Find(e.Path) == nil {
		j.Entries = append(j.Entries, e)
	}
}

// File is where the content is kept.
func (p *Previous) File() string {
	return PreviousDir + "/" + p.Digest.Encoded()
}
