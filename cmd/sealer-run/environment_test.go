package main

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/kubefile/kubefile/cmd/commandline"
)

// TestVariables: a variable is read by commands with its flag only, where the flag is not given. What is an error as the value of a flag is one
// there, too: also a value that is empty.
func TestVariables(t *testing.T) {
	image := layout(t)
	const file = "apiVersion: sealer.cloud/v2\nkind: Cluster\nmetadata: {name: c}\n"
	for _, test := range []struct {
		variable, value string
		line            string
		want            string // in what is said
		status          int
	}{
		{"SEALER_CMD_TIMEOUT", "bla", "version", "", 0},
		{"SEALER_CMD_TIMEOUT", "bla", "--version", "", 0},
		{"SEALER_CMD_TIMEOUT", "bla", "--help", "", 0},
		{"SEALER_CMD_TIMEOUT", "bla", "plan --help", "", 0},
		{"SEALER_CMD_TIMEOUT", "bla", "inspect IMAGE", "", 0},
		{"SEALER_CMD_TIMEOUT", "bla", "check -f -", "spec.image", commandline.Usage},
		{"SEALER_CMD_TIMEOUT", "bla", "plan -f -", "environment variable SEALER_CMD_TIMEOUT needs a value such as 90s or 10m", commandline.Usage},
		{"SEALER_CMD_TIMEOUT", "bla", "-f -", "environment variable SEALER_CMD_TIMEOUT needs", commandline.Usage},
		{"SEALER_CMD_TIMEOUT", " ", "run -f -", "environment variable SEALER_CMD_TIMEOUT: the value is empty", commandline.Usage},
		{"SEALER_CMD_TIMEOUT", "0", "delete --all -m 127.0.0.1", "environment variable SEALER_CMD_TIMEOUT: 0s is too short", commandline.Usage},
		{"SEALER_CMD_TIMEOUT", "-5m", "apply -f -", "environment variable SEALER_CMD_TIMEOUT: -5m0s is too short", commandline.Usage},
		{"SEALER_CMD_TIMEOUT", "bla", "plan -f - --cmd-timeout 5m", "spec.image", commandline.Usage},
		{"SEALER_CMD_TIMEOUT", "", "plan -f -", "environment variable SEALER_CMD_TIMEOUT: the value is empty; unset it", commandline.Usage},
		{"SEALER_CMD_TIMEOUT", "", "plan -f - --cmd-timeout 5m", "spec.image", commandline.Usage},
		{"SEALER_CMD_TIMEOUT", "", "inspect IMAGE", "", 0},
		{"SEALER_CMD_TIMEOUT", "5m", "plan -f -", "spec.image", commandline.Usage},
		{"SEALER_CMD_TIMEOUT", "5m", "version", "", 0},
		{"SEALER_CMD_TIMEOUT", "5m", "gen --schema", "", 0},
		{"SEALER_DRAIN_TIMEOUT", "bla", "run -f -", "spec.image", commandline.Usage},
		{"SEALER_DRAIN_TIMEOUT", "bla", "plan -f -", "environment variable SEALER_DRAIN_TIMEOUT needs", commandline.Usage},
		{"SEALER_DRAIN_TIMEOUT", "1m", "plan -f -", "spec.image", commandline.Usage},
		{"SEALER_DRAIN_TIMEOUT", "bla", "delete -n 127.0.0.1", "environment variable SEALER_DRAIN_TIMEOUT needs", commandline.Usage},
		{"SEALER_DRAIN_TIMEOUT", "-1s", "delete -n 127.0.0.1", "environment variable SEALER_DRAIN_TIMEOUT: -1s is too short", commandline.Usage},
		{"SEALER_DRAIN_TIMEOUT", "", "delete -n 127.0.0.1", "environment variable SEALER_DRAIN_TIMEOUT: the value is empty", commandline.Usage},
		{"SEALER_DRAIN_TIMEOUT", "1m", "delete --all -m 127.0.0.1", "add --yes", commandline.Usage},
		{"SEALER_DRAIN_TIMEOUT", "1m", "delete -n 127.0.0.1 --skip-drain", "add --yes", commandline.Usage},
		{"SEALER_PASSWD", "-c4nary", "plan -f -", "spec.image", commandline.Usage},
		{"SEALER_PASSWD", "", "plan -f -", "environment variable SEALER_PASSWD: the value is empty", commandline.Usage},
		{"SEALER_PASSWD", "", "delete -n 127.0.0.1", "environment variable SEALER_PASSWD: the value is empty", commandline.Usage},
		{"SEALER_PASSWD", "", "inspect IMAGE", "", 0},
		{"SEALER_PK_PASSWD", "", "plan -f -", "environment variable SEALER_PK_PASSWD: the value is empty", commandline.Usage},
		{"SEALER_PK_PASSWD", "-c4nary", "plan -f -", "spec.image", commandline.Usage},
		{"SEALER_PK_PASSWD", "", "version", "", 0},
	} {
		t.Run(test.variable+"="+test.value+" "+test.line, func(t *testing.T) {
			t.Setenv(test.variable, test.value)
			stdout, stderr, status := call(t, file+"spec: {hosts: [{ips: [127.0.0.1], roles: [master]}]}\n",
				strings.Fields(strings.ReplaceAll(test.line, "IMAGE", image))...)
			if status != test.status || !strings.Contains(stderr, test.want) {
				t.Errorf("got status %d, want %d with %q in:\n%s%s", status, test.status, test.want, stdout, stderr)
			}
			if strings.Count(stderr, "\n") > 1 || strings.Contains(stderr, "bla") || strings.Contains(stderr, "c4nary") {
				t.Errorf("it shows a value, or says more than one thing:\n%s", stderr)
			}
		})
	}
}

// TestVariableIsTheDefault: what a variable says counts, a flag counts more, and help says what is the default without either.
func TestVariableIsTheDefault(t *testing.T) {
	t.Setenv("SEALER_CMD_TIMEOUT", "7m")
	for line, want := range map[string]time.Duration{"plan a:v1": 7 * time.Minute, "plan a:v1 --cmd-timeout 8m": 8 * time.Minute} {
		app := application()
		var got time.Duration
		app.Command("plan").Action = func(_ context.Context, cmd *cli.Command) error {
			got = cmd.Duration("cmd-timeout")
			return nil
		}
		status := commandline.Execute(t.Context(), app, append([]string{"sealer-run"}, strings.Fields(line)...), nil)
		if status != 0 || got != want {
			t.Errorf("%s: got status %d and %s, want %s", line, status, got, want)
		}
	}
	stdout, _, _ := call(t, "", "plan", "--help")
	if !strings.Contains(stdout, "(default: 1h0m0s) [$SEALER_CMD_TIMEOUT]") {
		t.Errorf("help does not show the default and its variable:\n%s", stdout)
	}
}

// TestVariablesAreDocumented: every variable that the help names is on the page about runs.
func TestVariablesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, cmd := range application().Commands {
		if cmd.Hidden {
			continue
		}
		stdout, stderr, status := call(t, "", cmd.Name, "--help")
		if status != 0 {
			t.Fatalf("%s --help: got status %d: %s", cmd.Name, status, stderr)
		}
		for _, name := range regexp.MustCompile(`SEALER_[A-Z_]+`).FindAllString(stdout, -1) {
			named[name] = true
		}
	}
	for name := range named {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/operations.md does not have %s", name)
		}
	}
	if len(named) < 4 {
		t.Errorf("got %v, want the variables of the help", named)
	}
}

// TestHelpNamesAFlagOnce: a flag that is repeatable, too.
func TestHelpNamesAFlagOnce(t *testing.T) {
	stdout, _, _ := call(t, "", "apply", "--help")
	for _, want := range []string{"\n   --env string, -e string  ", "\n   --masters string, -m string  "} {
		if strings.Count(stdout, want) != 1 {
			t.Errorf("%q is not once in:\n%s", want, stdout)
		}
	}
}
