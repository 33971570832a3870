package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// A tool is something that can be made once and kept: one or more binaries of one version.
type tool struct {
	name     string
	version  string
	key      string // hash of everything that determines the binaries
	binaries []string
	// fetch, if it is not nil, downloads what build needs.
	fetch func(ctx context.Context) error
	// build writes all binaries into dir, an empty directory.
	build func(ctx context.Context, dir string) error
}

func (t tool) provides(name string) bool {
	return t.name == name || slices.Contains(t.binaries, name)
}

// directory is where the finished tool is in the cache.
func (t tool) directory(cache string) string {
	return filepath.Join(cache, t.name, t.version+"-"+t.key)
}

// ensure returns the directory that holds the tool's binaries and whether they had to be built. It calls note when it has to wait.
//
// A directory gets its final name only when it is complete, so an interrupted build leaves nothing that a later run would
// take for finished; a lock per tool makes concurrent runs, of other clones too, wait for each other.
func ensure(ctx context.Context, cache string, t tool, note func(string)) (dir string, built bool, err error) {
	dir = t.directory(cache)
	home := filepath.Dir(dir)
	if complete(dir, t.binaries) {
		return dir, false, nil
	}
	if err := os.MkdirAll(home, 0o755); err != nil {
		return "", false, err
	}
	unlock, err := lock(ctx, filepath.Join(home, ".lock"), func() { note("waiting for another build") })
	if err != nil {
		return "", false, err
	}
	defer unlock()
	if complete(dir, t.binaries) { // another run built it while this one waited
		return dir, false, nil
	}
	note("building")
	return dir, true, create(ctx, home, dir, t)
}

// create builds the tool in a directory of home and renames that to dir. The caller holds the lock of home.
func create(ctx context.Context, home, dir string, t tool) (err error) {
	// What a killed run left is removed; its compiler may still be writing there, so the new directory has another name.
	left, err := filepath.Glob(filepath.Join(home, ".unfinished-*"))
	if err != nil {
		return err
	}
	for _, path := range append(left, dir) {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	unfinished, err := os.MkdirTemp(home, ".unfinished-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(unfinished))
		}
	}()
	if err := os.Chmod(unfinished, 0o755); err != nil {
		return err
	}
	if err := t.build(ctx, unfinished); err != nil {
		return err
	}
	if !complete(unfinished, t.binaries) {
		return fmt.Errorf("the build did not write all of %v", t.binaries)
	}
	return os.Rename(unfinished, dir)
}

// complete reports whether every binary is in dir.
func complete(dir string, binaries []string) bool {
	for _, name := range binaries {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
			return false
		}
	}
	return true
}

// lock takes an exclusive lock on the file at path, which it creates. It waits until the lock is free or ctx ends, and calls waiting
// when it begins to.
func lock(ctx context.Context, path string, waiting func()) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for waited := false; ; waited = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		if !waited {
			waiting()
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// link makes out/NAME point at dir/NAME for every binary, replacing what stood there in one step.
func link(out, dir string, binaries []string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, name := range binaries {
		target, path := filepath.Join(dir, name), filepath.Join(out, name)
		if old, err := os.Readlink(path); err == nil && old == target {
			continue
		}
		fresh := filepath.Join(out, fmt.Sprintf(".%s.%d", name, os.Getpid()))
		if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.Symlink(target, fresh); err != nil {
			return err
		}
		if err := os.Rename(fresh, path); err != nil {
			return err
		}
	}
	return nil
}
