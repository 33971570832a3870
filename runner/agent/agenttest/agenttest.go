// Package agenttest looks at directories of hosts in tests of the agent.
package agenttest

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/imagespec"
)

// Tree lists what is in a directory: "d name", "- name content", "l name target",
// without the agent's note.
func Tree(t testing.TB, root string) string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == root {
			return err
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if relative == path.Dir(imagespec.UnpackedPath) {
			return fs.SkipDir
		}
		switch d.Type() {
		case fs.ModeDir:
			lines = append(lines, "d "+relative)
		case fs.ModeSymlink:
			target, err := os.Readlink(name)
			lines = append(lines, "l "+relative+" "+target)
			return err
		case 0:
			data, err := os.ReadFile(name)
			lines = append(lines, "- "+relative+" "+string(data))
			return err
		default:
			lines = append(lines, "? "+relative)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// Complete fails unless the host has these images whole. dir is the cluster's directory.
func Complete(t testing.TB, dir string, references ...string) {
	t.Helper()
	store := imagespec.NewStore(os.DirFS(filepath.Join(dir, imagespec.RegistryDir)))
	found, err := store.References()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name, descriptor := range found {
		names = append(names, name)
		if _, err := store.Manifest(descriptor); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	slices.Sort(names)
	if !slices.Equal(names, references) {
		t.Errorf("references in the store: got %q, want %q", names, references)
	}
}

// Write writes a file, and makes its directory.
func Write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Read reads a file.
func Read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Exists reports whether there is something.
func Exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
