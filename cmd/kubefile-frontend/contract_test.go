package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/cmd/commandline/commandlinetest"
	"github.com/kubefile/kubefile/version"
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

// TestOutsideBuildKit: a person who starts the program by its name alone reads what it is, and not what it would say to BuildKit.
func TestOutsideBuildKit(t *testing.T) {
	stdout, stderr, code := program(t, t.TempDir())
	if code != 2 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "runs only inside BuildKit") || !strings.Contains(stderr, "kubefile-frontend discover") {
		t.Errorf("got status %d, stdout %q, stderr:\n%s", code, stdout, stderr)
	}
}

// TestInsideBuildKit: each variable that BuildKit sets, also one that is empty, makes the program talk to it.
func TestInsideBuildKit(t *testing.T) {
	for _, variable := range []string{"BUILDKIT_SESSION_ID", "BUILDKIT_WORKERS", "BUILDKIT_EXPORTEDPRODUCT"} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, "")
			stdout, stderr, code := program(t, t.TempDir())
			if code != 1 || !strings.HasPrefix(stdout, "PRI * HTTP/2.0") {
				t.Errorf("got status %d, stdout %q, want the first bytes of HTTP/2; stderr:\n%s", code, stdout, stderr)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	stdout, stderr, code := program(t, t.TempDir(), "version")
	if code != 0 || stderr != "" || stdout != version.Get().String() {
		t.Errorf("got status %d, stderr %q and\n%s\nwant\n%s", code, stderr, stdout, version.Get())
	}
	stdout, _, code = program(t, t.TempDir(), "version", "--output=json")
	var got version.Info
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 || got != version.Get() {
		t.Errorf("got status %d, %v, %+v, want %+v", code, err, got, version.Get())
	}
	if strings.Contains(stdout, "agentProtocol") {
		t.Errorf("the frontend has no agent:\n%s", stdout)
	}
}
