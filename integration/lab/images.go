package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/kubefile/kubefile/integration/upstream/images"
)

// makeImages makes the images that can run, unless the cache has them, and points OUT/images at their layout. The names are those of sets
// of images.
func (l *lab) makeImages(ctx context.Context, names []string) error {
	sets := make([]images.Set, len(names))
	for i, name := range names {
		sets[i] = images.Set(name)
	}
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	unlock, err := lock(ctx, filepath.Join(cache, "images.lock")) // other clones make the same images
	if err != nil {
		return err
	}
	defer unlock()
	src := images.Sources{Tools: l.path("bin"), Programs: l.path("lab", "programs")}
	if err := l.compilePrograms(ctx, src.Programs); err != nil {
		return err
	}
	if len(sets) > 0 {
		if err := needPackages(ctx, "mmdebstrap"); err != nil {
			return err
		}
		if src.Debian, err = images.UnpackDebian(ctx, cache, sets); err != nil {
			return err
		}
	}
	definitions, err := images.Definitions(ctx, src, sets)
	if err != nil {
		return err
	}
	layout, err := images.Build(ctx, cache, definitions)
	if err != nil {
		return err
	}
	fmt.Println("images", layout)
	return link(layout, l.path("images"))
}

// compilePrograms compiles the programs that are images of the lab's own.
func (l *lab) compilePrograms(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=",
		"-o", dir, "./integration/upstream/images/programs/...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	return run(cmd)
}

// needPackages installs Debian packages that are missing.
func needPackages(ctx context.Context, names ...string) error {
	argv := append([]string{"-c", `. integration/hosts/packages.sh && need "$@"`, "need"}, names...)
	return run(exec.CommandContext(ctx, "bash", argv...))
}

// cacheDir is where finished parts are kept for all clones: $KUBEFILE_CACHE, by default in the user's cache directory.
func cacheDir() (string, error) {
	if dir := os.Getenv("KUBEFILE_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache directory (KUBEFILE_CACHE sets it): %w", err)
	}
	return filepath.Join(dir, "kubefile"), nil
}

// link makes the link at name point at target, in one step.
func link(target, name string) error {
	fresh := name + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, fresh); err != nil {
		return err
	}
	return os.Rename(fresh, name)
}
