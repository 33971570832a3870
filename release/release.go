package main

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	program = "sealer-run"
	project = "https://github.com/kubefile/kubefile"
	license = "Apache-2.0"
)

// architectures are the architectures of Linux for which sealer-run is released.
var architectures = []string{"amd64", "arm64"}

type options struct {
	version, key, root string
	dirty, check       bool
}

// release is one release while it is made.
type release struct {
	root    string // of the clone
	dir     string // of the files
	version string // v0.1.0
	commit  string
	date    time.Time // of the commit: the time of everything in the release
	flags   string    // of the linker
}

func run(ctx context.Context, o options) error {
	r, err := checked(ctx, o)
	if err != nil {
		return err
	}
	if o.check {
		fmt.Println(r.version)
		return nil
	}
	var key *ecdsa.PrivateKey
	if o.key != "" { // read first, because a wrong key should not cost a build
		if key, err = readKey(o.key); err != nil {
			return err
		}
	}
	if err := errors.Join(os.RemoveAll(r.dir), os.MkdirAll(r.dir, 0o755)); err != nil {
		return err
	}
	if err := r.writeNotes(); err != nil {
		return err
	}
	for _, arch := range architectures {
		binary := program + "-linux-" + arch
		fmt.Fprintln(os.Stderr, "compiling", binary, r.version)
		if err := errors.Join(r.compile(ctx, binary, arch), ctx.Err()); err != nil {
			return err
		}
		if err := r.writeSBOM(binary); err != nil {
			return fmt.Errorf("writing the SBOM of %s: %w", binary, err)
		}
		if err := r.writePackages(binary, arch); err != nil {
			return fmt.Errorf("packing %s: %w", binary, err)
		}
	}
	if err := r.writeChecksums(key); err != nil {
		return err
	}
	return r.finish()
}

// newDir is the directory of the files until the release is complete, in the directory of the finished ones.
const newDir = ".new"

// checked checks version and clone.
func checked(ctx context.Context, o options) (*release, error) {
	if err := checkVersion(o.version); err != nil {
		return nil, err
	}
	root, err := filepath.Abs(o.root)
	if err != nil {
		return nil, err
	}
	r := &release{root: root, dir: filepath.Join(root, "dist", newDir)}
	if r.version, err = r.checkClone(ctx, o.version, o.dirty); err != nil {
		return nil, err
	}
	return r, r.readCommit(ctx)
}

// path returns where a file of the release is created.
func (r *release) path(name string) string { return filepath.Join(r.dir, name) }

// write makes a file of the release.
func (r *release) write(name string, data []byte) error {
	return os.WriteFile(r.path(name), data, 0o644)
}

// finish replaces the files of an earlier release by the new ones, and lists them.
func (r *release) finish() error {
	dist := filepath.Dir(r.dir)
	old, err := os.ReadDir(dist)
	if err != nil {
		return err
	}
	for _, entry := range old {
		if entry.Name() == newDir {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dist, entry.Name())); err != nil {
			return err
		}
	}
	made, err := os.ReadDir(r.dir)
	if err != nil {
		return err
	}
	for _, entry := range made {
		if err := os.Rename(r.path(entry.Name()), filepath.Join(dist, entry.Name())); err != nil {
			return err
		}
		fmt.Println(filepath.Join("dist", entry.Name()))
	}
	return os.Remove(r.dir)
}
