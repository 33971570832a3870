package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/kubefile/kubefile/runner/agent/clusterdir"
	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/agent/wire"
)

// vacant reports whether names in a directory are only those of an empty file system, and of a first run that was killed.
func vacant(names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool {
		temporary, err := path.Match(hostrecord.TemporaryName, name)
		return err != nil || name != lockFile && name != lostAndFound && !temporary
	})
}

const lostAndFound = "lost+found"

// refuseLink refuses a cluster directory that is a link: it leads to someone else's directory.
func refuseLink(dir string) error {
	info, err := os.Lstat(dir)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return fmt.Errorf("%s: %w: it is a symbolic link; use the directory that it points to", dir, wire.ErrForeign)
	}
	return nil
}

// refuseForeign fails when the directory has no journal, and has files. An application's directory in a cluster's is the cluster's.
func (j *journal) refuseForeign() error {
	if _, err := j.root.Stat(hostrecord.JournalFile); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	entries, err := clusterdir.ReadDir(j.root, ".")
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
	cluster := filepath.Dir(apps)
	file := filepath.Join(cluster, hostrecord.JournalFile)
	data, err := os.ReadFile(file)
	return filepath.Base(apps) == appsDir && err == nil && new(hostrecord.Journal).Parse(data, cluster) == nil && checkOwner(file) == nil
}

func notVacant(dir string, names []string) error {
	slices.Sort(names)
	some := fmt.Sprintf("%.60q", names[:min(len(names), 3)])
	return fmt.Errorf("%s: %w: the directory is not empty (%s) and has no %s; choose another data root or cluster name, or move the files",
		dir, wire.ErrForeign, some, hostrecord.JournalFile)
}

// checkOwner refuses a journal that someone other than root can write: it lists what root removes.
func checkOwner(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o022 != 0 || ok && int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("%s: %w: the file must belong to root and be writable only by root", path, wire.ErrForeign)
	}
	return nil
}

// prove fails when the journal and the record do not say that the directory is the cluster's.
func (j *journal) prove(cluster, id string) error {
	if err := checkOwner(filepath.Join(j.dir, hostrecord.JournalFile)); err != nil {
		return err
	}
	remembered, err := readRecord(j.root)
	if err != nil {
		return err
	}
	return hostrecord.NewSurvey(j.dir, &j.Journal, remembered).Prove(cluster, id)
}
