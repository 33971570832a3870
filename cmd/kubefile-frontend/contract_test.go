package main

import (
	"strings"
	"testing"

	"github.com/kubefile/kubefile/cmd/commandline/commandlinetest"
)

func TestEveryFlag(t *testing.T) { commandlinetest.Check(t, application) }

func TestUnknownCommands(t *testing.T) {
	for line, want := range map[string]string{
		"discovr .":      `unknown command "discovr"; did you mean "discover"?`,
		"help discovr":   `unknown command "discovr"; did you mean "discover"?`,
		"--help discovr": `unknown command "discovr"; did you mean "discover"?`,
		"build":          `unknown command "build"`,
		"discover":       "no DIR given",
		"discover a b":   "discover takes one DIR, and got 2",
	} {
		stdout, stderr, code := program(t, t.TempDir(), strings.Fields(line)...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit status %d, want 2 with %q in:\n%s%s", line, code, want, stdout, stderr)
		}
	}
}
