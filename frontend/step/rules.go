package step

import (
	"context"
	"io/fs"
	"syscall"

	"github.com/kubefile/kubefile/imagespec"
)

// Refused is a file that no host would unpack.
type Refused struct {
	Path string `json:"path"`
	Why  string `json:"why"`
}

// maxRefused bounds how many are named.
const maxRefused = 20

// refused looks for files that no rootfs may have.
func refused(ctx context.Context, fsys fs.FS) ([]Refused, error) {
	var found []Refused
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if name == "." || leftOut(entry) {
			return nil
		}
		if err := imagespec.CheckRootfs(name, entry.Type()); err != nil {
			found = append(found, Refused{Path: name, Why: err.Error()})
		}
		if len(found) == maxRefused {
			return fs.SkipAll
		}
		return nil
	})
	return found, err
}

// leftOut reports whether no layer will have the file: a socket, which exporters skip as archives cannot say it, and what overlayfs shows
// for a file that was removed (Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories").
func leftOut(entry fs.DirEntry) bool {
	if entry.Type()&fs.ModeSocket != 0 {
		return true
	}
	if entry.Type()&fs.ModeCharDevice == 0 {
		return false
	}
	info, err := entry.Info()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Rdev == 0
}
