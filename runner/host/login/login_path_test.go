package login

import (
	"context"
	"net/netip"
	"os/exec"
	"slices"
	"testing"

	"github.com/kubefile/kubefile/runner/host"
)

// poorLogin is a host whose logins have this PATH.
type poorLogin string

func (l poorLogin) Host() host.Host { return host.Host{Address: netip.MustParseAddr("10.0.0.1")} }
func (l poorLogin) Close() error    { return nil }

func (l poorLogin) Run(ctx context.Context, cmd host.Command) error {
	argv, stdin, err := wrap(cmd, privilege{}, "x")
	if err != nil {
		return err
	}
	process := exec.CommandContext(ctx, "/usr/bin/env", argv[1:]...) // argv[0] is env
	process.Env, process.Stdin, process.Stdout = []string{"PATH=" + string(l)}, stdin, cmd.Stdout
	return process.Run()
}

// The facts have PATH as the login, or sudo, sets it. Programs in directories that it lacks are found all the same.
func TestPathOfTheLogin(t *testing.T) {
	const whole = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	var commands []string
	for _, path := range []string{whole, "/sbin:/bin:/usr/sbin:/usr/bin", "/usr/bin:/bin"} {
		facts, err := host.Gather(t.Context(), poorLogin(path), "/nowhere")
		if err != nil {
			t.Fatal(err)
		}
		if facts.Path != path {
			t.Errorf("PATH is %s, want %s", facts.Path, path)
		}
		if path == whole {
			commands = facts.Commands
		}
		if !slices.Equal(facts.Commands, commands) {
			t.Errorf("with PATH %s: found %q, want %q", path, facts.Commands, commands)
		}
	}
}
