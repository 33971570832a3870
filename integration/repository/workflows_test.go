package repository

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// pinnedAction is a use of an action by commit, with the version for people and for Dependabot.
var pinnedAction = regexp.MustCompile(`^[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)

// TestWorkflows checks what actionlint does not: that actions are pinned by commit, that the default rights are to read at most, and that
// the make targets and scripts which a workflow runs exist.
func TestWorkflows(t *testing.T) {
	root := repositoryRoot(t)
	names, err := filepath.Glob(filepath.Join(root, ".github/workflows/*.yml"))
	if err != nil || len(names) < 3 {
		t.Fatalf("got workflows %q, %v, want at least 3", names, err)
	}
	targets := readMakefile(t)
	for _, name := range names {
		text, base := read(t, name), filepath.Base(name)
		for _, match := range regexp.MustCompile(`(?m)\buses: (.*)$`).FindAllStringSubmatch(text, -1) {
			if !pinnedAction.MatchString(match[1]) {
				t.Errorf("%s: %q is not pinned: want OWNER/NAME@COMMIT # vX.Y.Z", base, match[1])
			}
		}
		var workflow struct {
			Permissions map[string]string
			Jobs        map[string]struct {
				Timeout int `yaml:"timeout-minutes"`
				Steps   []struct{ Run string }
			}
		}
		if err := yaml.Unmarshal([]byte(text), &workflow); err != nil {
			t.Fatal(err)
		}
		if workflow.Permissions == nil {
			t.Errorf("%s: no permissions at the top: a token has all rights then", base)
		}
		for scope, right := range workflow.Permissions {
			if right != "read" && right != "none" {
				t.Errorf("%s: every job has the right %s: %s; give it to the job that needs it", base, scope, right)
			}
		}
		for job, content := range workflow.Jobs {
			if content.Timeout == 0 {
				t.Errorf("%s: job %s has no timeout-minutes", base, job)
			}
			for _, step := range content.Steps {
				for _, line := range strings.Split(step.Run, "\n") {
					checkRun(t, root, base, targets, line)
				}
			}
		}
	}
}

// checkRun checks one line of a step's script.
func checkRun(t *testing.T, root, workflow string, targets makefile, line string) {
	t.Helper()
	words := commandWords(line)
	if len(words) == 0 {
		return
	}
	switch program, _, _ := strings.Cut(words[0], "/"); program {
	case "make":
		for _, problem := range targets.checkMake(words[1:]) {
			t.Errorf("%s: %s: %s", workflow, line, problem)
		}
	case "integration", "frontend", "version":
		if info, err := os.Stat(filepath.Join(root, words[0])); err != nil || info.Mode()&0o111 == 0 {
			t.Errorf("%s: %s is not a program of the repository", workflow, words[0])
		}
	}
}
