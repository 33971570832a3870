package repository

import (
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// modules returns the directories of the repository's Go modules, relative to root.
func modules(t *testing.T, root string) (dirs []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() && name != root && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "inputs") {
			return filepath.SkipDir
		}
		if base == "go.mod" {
			rel, err := filepath.Rel(root, filepath.Dir(name))
			if err != nil {
				return err
			}
			dirs = append(dirs, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(dirs) < 10 {
		t.Fatalf("only %d modules seen: %q", len(dirs), dirs)
	}
	return dirs
}

var requireBlock = regexp.MustCompile(`(?ms)^require (?:\((.*?)^\)|(\S[^\n]*))`)

// TestRequirements: a go.mod has at most two require blocks, the direct requirements first and then the others. A module that pins tools may
// have only others.
func TestRequirements(t *testing.T) {
	root := repositoryRoot(t)
	for _, dir := range modules(t, root) {
		blocks := requireBlock.FindAllStringSubmatch(read(t, filepath.Join(root, dir, "go.mod")), -1)
		if dir == "." && len(blocks) != 2 || len(blocks) > 2 {
			t.Errorf("%s/go.mod has %d require blocks, want 2: go mod tidy, then move their lines together", dir, len(blocks))
		}
		for i, block := range blocks {
			for _, line := range strings.Split(strings.TrimSpace(block[1]+block[2]), "\n") {
				indirect := strings.Contains(line, "// indirect")
				if indirect && i < len(blocks)-1 {
					t.Errorf("%s/go.mod: %q is among the direct requirements", dir, line)
				}
				if dir == "." && !indirect && i == 1 {
					t.Errorf("%s/go.mod: %q is among the indirect requirements", dir, line)
				}
			}
		}
	}
}

// TestDependabotKnowsEveryModule compares the configuration of Dependabot with the modules that there are.
func TestDependabotKnowsEveryModule(t *testing.T) {
	root := repositoryRoot(t)
	var config struct {
		Updates []struct {
			Ecosystem   string `yaml:"package-ecosystem"`
			Directory   string
			Directories []string
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, filepath.Join(root, ".github/dependabot.yml"))), &config); err != nil {
		t.Fatal(err)
	}
	var patterns []string
	for _, update := range config.Updates {
		if update.Ecosystem != "gomod" {
			continue
		}
		if update.Directory != "" {
			update.Directories = append(update.Directories, update.Directory)
		}
		patterns = append(patterns, update.Directories...)
	}
	for _, dir := range modules(t, root) {
		dir = path.Join("/", dir)
		if !slices.ContainsFunc(patterns, func(pattern string) bool {
			ok, err := path.Match(pattern, dir)
			return ok && err == nil
		}) {
			t.Errorf("no entry for the module in %s", dir)
		}
	}
}
