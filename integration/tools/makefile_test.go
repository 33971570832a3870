package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// dryRun returns what make would run.
func dryRun(t *testing.T, dir string, arguments ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "make", append([]string{"--no-print-directory", "-n"}, arguments...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=") // those of a make that runs the tests
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestTargetsOfTools: a name that is misspelled would compile every tool, for an hour.
func TestTargetsOfTools(t *testing.T) {
	for arguments, want := range map[string]string{
		"tools FOR=lint":             "actionlint staticcheck",
		"tools TOOLS=crane":          "crane",
		"tools FOR=nope":             "unknown FOR=nope; use one of: bench demo e2e",
		"up FOR=e2":                  "unknown FOR=e2; use one of: bench demo e2e",
		"frontend ARCH= FOR=e2e,all": "unknown FOR=e2e,all",
	} {
		out, err := dryRun(t, "../..", strings.Fields(arguments)...)
		if fails := strings.HasPrefix(want, "unknown"); (err != nil) != fails || !strings.Contains(out, want) {
			t.Errorf("make %s: got %v, %s, want %q", arguments, err, out, want)
		}
	}
}

// TestTheLabsPathIsCheckedFirst: programs of the lab refuse such a path, but only when all tools are compiled.
func TestTheLabsPathIsCheckedFirst(t *testing.T) {
	for name, refused := range map[string]bool{"with space": true, "it's": true, "é": true, "plain-1.0_a+b@c%d": false} {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "Makefile"), []byte(readFile(t, "Makefile")), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, target := range []string{"up", "e2e", "integration", "demo", "test"} {
			out, err := dryRun(t, dir, target)
			if got := err != nil && strings.Contains(out, "the lab cannot be in "+dir); got != refused || strings.Contains(out, "integration/tools") && refused {
				t.Errorf("make %s in %s: got %v, %s, want it refused: %t", target, dir, err, out, refused)
			}
		}
		if out, err := dryRun(t, dir, "unit"); err != nil {
			t.Errorf("make unit in %s: %v: %s", dir, err, out)
		}
	}
}
