package repository

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// versionScript runs version.sh with another git, which answers by that script.
func versionScript(t *testing.T, git, version string) (string, error) {
	t.Helper()
	bin := t.TempDir()
	put(t, bin, "git", "#!/bin/sh\n"+git)
	cmd := exec.CommandContext(t.Context(), filepath.Join(repositoryRoot(t), "version", "version.sh"), "env")
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "KUBEFILE_VERSION="+version)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestVersionsThatAreNone: the linker would take their words as flags of its own, and terminals what controls them.
func TestVersionsThatAreNone(t *testing.T) {
	for _, version := range []string{"v0.1.0", "v0.1.0-rc.1", "0.1.0+build.7", "v0.0.0-g0123456789ab-dirty", "1.2~bpo_1"} {
		if out, err := versionScript(t, "exit 1", version); err != nil || !strings.HasPrefix(out, "VERSION="+version+"\n") {
			t.Errorf("%s: got %q, %v", version, out, err)
		}
	}
	for _, version := range []string{"a b", "v1\n", "v1\x1b[31m", "-X main.x=y", "v1'", "é", "bad", "latest", "v", "version1", "-1", ".1", strings.Repeat("1", 129)} {
		out, err := versionScript(t, "exit 1", version)
		if want := "version.sh: invalid VERSION: use a number such as v0.1.0, with up to 128 letters, digits and .+_~-\n"; err == nil || out != want {
			t.Errorf("%q: got %q, %v, want %q", version, out, err, want)
		}
	}
}

// TestACloneThatGitDoesNotTrust belongs to another user, as for sudo make.
func TestACloneThatGitDoesNotTrust(t *testing.T) {
	git := "echo \"fatal: detected dubious ownership in repository at '/clone'\nTo add an exception, run:\n\tgit config --global --add safe.directory /clone\" >&2; exit 128"
	out, err := versionScript(t, git, "")
	if err != nil || !strings.Contains(out, "safe.directory /clone") || !strings.Contains(out, "\nVERSION=\n") {
		t.Errorf("got %q, %v, want what git says, and no version", out, err)
	}
	out, err = versionScript(t, "echo fatal: not a git repository >&2; exit 128", "")
	if err != nil || out != "VERSION=\nCOMMIT=\nDATE=\n" {
		t.Errorf("in an archive: got %q, %v", out, err)
	}
}

// TestLintNeedsAClone runs lint.sh in an unpacked source archive.
func TestLintNeedsAClone(t *testing.T) {
	root := t.TempDir()
	put(t, root, "integration/repository/lint.sh", read(t, filepath.Join(repositoryRoot(t), "integration", "repository", "lint.sh")))
	out, err := exec.CommandContext(t.Context(), filepath.Join(root, "integration", "repository", "lint.sh"), "lab").CombinedOutput()
	if want := "run it in a git clone\n"; err == nil || !strings.HasSuffix(string(out), want) {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
}
