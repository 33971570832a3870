// Package clusterdir works with the files in the cluster's directory of the host that it runs on: bounded reads, writes that are whole or not at
// all, and locks.
package clusterdir

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/kubefile/kubefile/runner/agent/wire"
)

// CheckDir refuses a cluster directory that a mistake could make harmful: it is
// removed as a whole one day.
func CheckDir(dir string) error {
	if !filepath.IsAbs(dir) || filepath.Clean(dir) != dir || strings.Count(dir, "/") < 2 {
		return fmt.Errorf("cluster directory %q: %w: it has to be absolute, clean, and not at the top", dir, wire.ErrInvalid)
	}
	return nil
}

// OpenDir opens the cluster's directory on this host.
func OpenDir(dir string) (*os.Root, error) {
	if err := CheckDir(dir); err != nil {
		return nil, err
	}
	return os.OpenRoot(dir)
}

// reserve is how much of a file system is left free for everything else on the host.
const reserve = 256 << 20

// Space returns how many bytes may be written below dir.
func Space(dir string) (int64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0, fmt.Errorf("free space at %s: %w", dir, err)
	}
	return max(0, int64(fs.Bavail)*int64(fs.Bsize)-reserve), nil
}

// NeedSpace fails when size bytes would not fit.
func NeedSpace(dir string, size int64) error {
	free, err := Space(dir)
	if err != nil {
		return err
	}
	if size > free {
		return fmt.Errorf("%w at %s: %d MiB are to be written, %d MiB may be used (%d MiB stay reserved); free some, or choose another data root",
			wire.ErrNoSpace, dir, size>>20, free>>20, int64(reserve)>>20)
	}
	return nil
}

// SyncFS makes everything on the file system of a directory survive a power cut.
func SyncFS(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	return unix.Syncfs(int(dir.Fd()))
}
