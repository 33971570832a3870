//go:build release

// Package release tests what make release and make publish make, with the lab that make up starts, and runs docs/getting-started.md.
package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/integration/lab/environment"
)

// top is the root of the repository.
func top(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// readLab returns where the lab's services are.
func readLab(t *testing.T) *environment.Environment {
	t.Helper()
	env, err := environment.Read(filepath.Join(top(t), "_out"))
	if err != nil {
		t.Fatal(err)
	}
	return env
}

// clone is a clone of this repository with the changes that are not committed as a commit of their own, so that it is clean.
func clone(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "kubefile")
	succeed(t, "", nil, "git", "clone", "--quiet", top(t), dir)
	changes := filepath.Join(t.TempDir(), "changes")
	succeed(t, top(t), nil, "git", "diff", "--binary", "--output="+changes, "HEAD")
	if info, err := os.Stat(changes); err != nil || info.Size() == 0 {
		return dir
	}
	succeed(t, dir, nil, "git", "apply", "--index", changes)
	succeed(t, dir, nil, "git", "-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "--quiet", "--message", "changes")
	return dir
}

// attempt runs a program and returns what it prints.
func attempt(t *testing.T, dir string, env []string, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func succeed(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	out, err := attempt(t, dir, env, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// refused runs make, which has to fail and name the reason.
func refused(t *testing.T, dir, want string, args ...string) {
	t.Helper()
	out, err := attempt(t, dir, nil, "make", args...)
	if err == nil || !strings.Contains(out, want) {
		t.Errorf("make %s: got %v, want an error with %q in:\n%s", strings.Join(args, " "), err, want, out)
	}
}
