package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// versionGrammar is Semantic Versioning 2.0.0 after a v, without build metadata.
var versionGrammar = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-(0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(\.(0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*)?$`)

func checkVersion(version string) error {
	if version == "" {
		return errors.New("no version given: write vMAJOR.MINOR.PATCH, such as make release VERSION=v0.1.0")
	}
	if !versionGrammar.MatchString(version) {
		return fmt.Errorf("invalid version %q: write vMAJOR.MINOR.PATCH, optionally with a pre-release, such as make release VERSION=v0.1.0-rc.1", version)
	}
	return nil
}

// checkClone refuses a clone with uncommitted changes, and returns the version of its content.
func (r *release) checkClone(ctx context.Context, version string, dirty bool) (string, error) {
	changes, err := r.git(ctx, "status", "--porcelain")
	if err != nil {
		return "", fmt.Errorf("a release needs a git clone: %w", err)
	}
	if changes != "" {
		if !dirty {
			return "", fmt.Errorf("the clone has changes that are not committed; commit them, or make a test release with DIRTY=1:\n%s", changes)
		}
		version += "-dirty"
	}
	head, err := r.git(ctx, "rev-parse", "HEAD")
	if err != nil {
		return "", err
	}
	tagged, err := r.git(ctx, "rev-parse", "--quiet", "--verify", "refs/tags/"+version+"^{commit}")
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return version, nil // no such tag yet
	}
	if err == nil && tagged != head {
		err = fmt.Errorf("tag %s is at commit %s, but the clone is at %s: check out the tag, or choose another version", version, tagged, head)
	}
	return version, err
}

// readCommit reads what the programs report about their commit.
func (r *release) readCommit(ctx context.Context) error {
	out, err := r.command(ctx, []string{"KUBEFILE_VERSION=" + r.version}, "version/version.sh", "env")
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "COMMIT":
			r.commit = value
		case "DATE":
			if r.date, err = time.Parse(time.RFC3339, value); err != nil {
				return fmt.Errorf("reading the date of the commit: %w", err)
			}
		}
	}
	r.flags, err = r.command(ctx, []string{"KUBEFILE_VERSION=" + r.version}, "version/version.sh", "flags")
	return err
}

// compile builds the program statically, for a host of any Linux distribution.
func (r *release) compile(ctx context.Context, binary, arch string) error {
	// Whatever may differ between machines is set: settings of the environment and of go env -w. The flags leave out debug information
	// anyway; the compiler leaves it out, too, as for the frontend image, with which the compiled packages are shared.
	settings := []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + arch, "GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=-mod=readonly -gcflags=all=-dwarf=false", "GOEXPERIMENT="}
	_, err := r.command(ctx, settings, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", r.flags, "-o", r.path(binary), "./cmd/"+program)
	return err
}

func (r *release) git(ctx context.Context, args ...string) (string, error) {
	return r.command(ctx, nil, "git", args...)
}

// command runs a program in the clone and returns what it prints, without the last line break.
func (r *release) command(ctx context.Context, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = r.root
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return "", fmt.Errorf("running %s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimRight(string(out), "\n"), nil
}
