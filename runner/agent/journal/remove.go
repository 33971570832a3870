package journal

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kubefile/kubefile/runner/agent/clusterdir"
	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/agent/wire"
)

// RemoveCreated undoes the journal, the last entry first, and then removes the
// cluster's directory.
func RemoveCreated(r wire.RemoveRequest) (wire.RemoveAnswer, error) {
	answer := wire.RemoveAnswer{Left: []string{}}
	if err := clusterdir.CheckDir(r.Dir); err != nil {
		return answer, err
	}
	if _, err := os.Stat(filepath.Join(r.Dir, hostrecord.JournalFile)); errors.Is(err, fs.ErrNotExist) {
		return answer, fmt.Errorf("%s: %w: it has no %s; nothing is removed", r.Dir, wire.ErrForeign, hostrecord.JournalFile)
	}
	if err := refuseMounts(r.Dir); err != nil {
		return answer, err
	}
	j, err := openJournal(r.Dir)
	if err != nil {
		return answer, err
	}
	defer j.Close()
	if err := j.prove(cmp.Or(r.Cluster, filepath.Base(r.Dir)), r.ID); err != nil {
		return answer, err
	}
	j.cacheOfEarlierAgent()
	var parents []hostrecord.Entry // of the directory itself: they go after it
	for _, e := range slices.Backward(j.Entries) {
		if e.Dir && (e.Path == j.dir || strings.HasPrefix(j.dir, e.Path+"/")) {
			parents = append(parents, e)
			continue
		}
		noteLeft(&answer, e, j.undo(e))
		for _, aside := range e.Aside {
			answer.Left = append(answer.Left, aside+": what others had made of "+e.Path+" before the cluster wrote it again")
		}
	}
	if j.Dir == "" {
		answer.Left = append(answer.Left, j.dir+": may have existed before the cluster; remove it by hand if nothing else needs it")
		return answer, j.root.Rename(hostrecord.JournalFile, hostrecord.JournalFile+".undone")
	}
	// Whoever goes on after a crash does not undo again what was undone: the kept files may be gone by then.
	j.Entries = slices.Clone(parents)
	slices.Reverse(j.Entries)
	if err := j.save(); err != nil {
		return answer, err
	}
	if err := j.removeDir(); err != nil {
		return answer, err
	}
	for _, e := range parents {
		noteLeft(&answer, e, j.undo(e))
	}
	return answer, nil
}

// noteLeft notes why an entry was left.
func noteLeft(a *wire.RemoveAnswer, e hostrecord.Entry, reason string) {
	if reason != "" {
		a.Left = append(a.Left, e.Path+": "+reason)
	}
}

// undo makes one entry undone, or says why not.
func (j *journal) undo(e hostrecord.Entry) string {
	switch {
	case e.Dir:
		return undoDir(e.Path)
	case e.Kubeconfig != nil && e.Kubeconfig.Cache:
		return undoCache(e)
	case e.Block != nil:
		return j.undoBlock(e)
	}
	info, err := os.Lstat(e.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return j.restore(e, nil)
	case err != nil:
		return err.Error()
	case !info.Mode().IsRegular():
		return j.leave(e, "others put something else in its place")
	}
	now, err := clusterdir.DigestOf(e.Path)
	switch {
	case err != nil:
		return err.Error()
	case e.Previous != nil && now == e.Previous.Digest:
		return ""
	case now == e.Digest || now == e.Old:
		return j.restore(e, info)
	case j.hasBlock(e.Path): // written by an earlier agent
		return j.undoBlock(e)
	case j.isKubeconfig(e):
		return j.undoKubeconfig(e, info)
	}
	return j.leave(e, "changed by others since; take out by hand what does not belong")
}

func undoDir(path string) string {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return ""
	}
	if err := unix.Rmdir(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "not empty, others use it"
	}
	return ""
}

// restore puts back what was at the path before, or nothing. Of the file that is there, the mode and owner that others gave it stay.
func (j *journal) restore(e hostrecord.Entry, now fs.FileInfo) string {
	if e.Previous == nil {
		if err := os.Remove(e.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err.Error()
		}
		return ""
	}
	kept, err := j.root.Open(e.Previous.File())
	if err != nil {
		return "what was there before is lost: " + err.Error()
	}
	defer kept.Close()
	mode, uid, gid := e.Previous.Mode, e.Previous.UID, e.Previous.GID
	if now != nil && e.Mode != nil {
		if now.Mode().Perm() != e.Mode.Perm() {
			mode = now.Mode()
		}
		if u, g := ownerOf(now); u != os.Geteuid() || g != os.Getegid() {
			uid, gid = u, g
		}
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(e.Path), 0o755), putFile(e.Path, kept, mode, uid, gid)); err != nil {
		return err.Error()
	}
	return ""
}

// leave says why an entry is not undone. What was there before goes to a name next to it: the directory in which it is kept is removed.
func (j *journal) leave(e hostrecord.Entry, reason string) string {
	if e.Previous == nil {
		return reason
	}
	kept, err := j.root.Open(e.Previous.File())
	if err != nil {
		return reason + "; what was there before is lost: " + err.Error()
	}
	defer kept.Close()
	name, err := asideName(e.Path)
	if err == nil {
		err = putFile(name, kept, e.Previous.Mode, e.Previous.UID, e.Previous.GID)
	}
	if err != nil {
		return reason + "; what was there before is lost: " + err.Error()
	}
	return reason + "; what was there before is in " + name
}

// removeDir removes everything in the cluster's directory, the journal last, and
// the directory if it was made for the cluster.
func (j *journal) removeDir() error {
	entries, err := clusterdir.ReadDir(j.root, ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == hostrecord.JournalFile || e.Name() == lostAndFound {
			continue
		}
		if err := j.root.RemoveAll(e.Name()); err != nil {
			return err
		}
	}
	if err := j.root.Remove(hostrecord.JournalFile); err != nil {
		return err
	}
	if j.Find(j.dir) == nil {
		return nil
	}
	return unix.Rmdir(j.dir)
}

// refuseMounts fails when something is mounted below dir: removing would go on
// into it.
func refuseMounts(dir string) error {
	resolved, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) > 4 && strings.HasPrefix(mountPoint(fields[4]), resolved+"/") {
			return fmt.Errorf("%s is a mount point: unmount it first", path.Clean(mountPoint(fields[4])))
		}
	}
	return nil
}

// mountPoint undoes the escapes of proc_pid_mountinfo(5): a backslash and three octal digits.
func mountPoint(field string) string {
	var text strings.Builder
	for i := 0; i < len(field); i++ {
		if field[i] == '\\' && i+3 < len(field) {
			if code, err := strconv.ParseUint(field[i+1:i+4], 8, 8); err == nil {
				text.WriteByte(byte(code))
				i += 3
				continue
			}
		}
		text.WriteByte(field[i])
	}
	return text.String()
}
