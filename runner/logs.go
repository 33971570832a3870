package runner

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/kubefile/kubefile/runner/report"
)

// keptLogs is how many logs of a cluster's runs are kept.
const keptLogs = 200

// runLog is the log of a run, which is made when its first phases begin: all that follow write to it, too.
type runLog struct{ file *os.File }

// keep lets a report write to the log, and says where it is when it is new.
func (l *runLog) keep(cluster string, r *report.Report) error {
	isNew := l.file == nil
	if isNew {
		file, err := openLog(cluster)
		if err != nil {
			return err
		}
		l.file = file
	}
	r.Log(l.file)
	if isNew {
		fmt.Fprintf(r, "log: %s\n", l.file.Name())
	}
	return nil
}

// Close closes the log, if there is one.
func (l *runLog) Close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

// openLog makes the file for everything that hosts print, in the user's state directory (XDG Base Directory Specification), and removes the oldest
// logs of the cluster.
func openLog(cluster string) (*os.File, error) {
	dir := os.Getenv("XDG_STATE_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, fmt.Errorf("finding a place for the log: %w", err)
		}
		dir = filepath.Join(home, ".local", "state")
	}
	dir = filepath.Join(dir, "sealer-run")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making a place for the log: %w", err)
	}
	if err := removeOldLogs(dir, cluster, keptLogs-1); err != nil {
		return nil, err
	}
	name := fmt.Sprintf("%s-%s-%d.log", cluster, time.Now().UTC().Format("20060102T150405.000"), os.Getpid())
	return os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
}

// removeOldLogs removes all but the newest logs of a cluster. Their names sort by time.
func removeOldLogs(dir, cluster string, keep int) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("looking for old logs: %w", err)
	}
	log := regexp.MustCompile(`^` + regexp.QuoteMeta(cluster) + `-\d{8}T\d{6}\.\d{3}-\d+\.log$`)
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return !e.Type().IsRegular() || !log.MatchString(e.Name()) })
	for _, old := range entries[:max(0, len(entries)-keep)] {
		// Another run may remove it at the same time.
		if err := os.Remove(filepath.Join(dir, old.Name())); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("removing an old log: %w", err)
		}
	}
	return nil
}
