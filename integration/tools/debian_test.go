package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestInstalledPackagesAreFound: apt, which costs seconds and root's rights, is not even on this test's path.
func TestInstalledPackagesAreFound(t *testing.T) {
	query, err := exec.LookPath("dpkg-query")
	if err != nil {
		t.Fatal(err)
	}
	path := t.TempDir()
	if err := os.Symlink(query, filepath.Join(path, "dpkg-query")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", path)
	if err := installed(t.Context(), []string{"base-files", "dpkg"}); err != nil {
		t.Error(err)
	}
}

func TestStaticProgramsAreKeptPerReleaseAndArchitecture(t *testing.T) {
	amd64, err := static("busybox", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	arm64, err := static("busybox", "arm64")
	if err != nil {
		t.Fatal(err)
	}
	if amd64.key == arm64.key || amd64.version == "" || amd64.version != arm64.version {
		t.Errorf("amd64 is %s-%s, arm64 %s-%s", amd64.version, amd64.key, arm64.version, arm64.key)
	}
}
