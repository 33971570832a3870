//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fault is what happens to a run, or to a host that it changes.
type fault struct {
	// role is that of the host whose change the fault is in: master, node, or any; empty for a fault at the beginning of a phase.
	role string
	// strike makes it happen. What it returns repairs it, after the run has ended.
	strike func(t *testing.T, m *matrix, run *exec.Cmd, host int) (repair func())
	// check looks how the run has ended, and what it said.
	check func(t *testing.T, m *matrix, ended error, said string, host int)
}

// faultOf returns the fault with a name. The matrix of integration/soak has the names.
func faultOf(name string) (fault, error) {
	all := map[string]fault{
		"killed-before":       {"", killRun, wasKilled},
		"killed":              {"any", killRun, wasKilled},
		"power-cut-of-master": {"master", cutPower, namesHost},
		"power-cut-of-node":   {"node", cutPower, namesHost},
		"connection-reset":    {"any", resetConnection, namesHost},
		"connection-lost":     {"any", loseConnection, namesHost},
	}
	f, ok := all[name]
	if !ok {
		return fault{}, fmt.Errorf("unknown fault %q", name)
	}
	return f, nil
}

func killRun(t *testing.T, _ *matrix, run *exec.Cmd, _ int) func() {
	t.Helper()
	if err := run.Process.Kill(); err != nil {
		t.Fatalf("the run was over before it was killed: %v", err)
	}
	return func() {}
}

func wasKilled(t *testing.T, _ *matrix, ended error, said string, _ int) {
	t.Helper()
	if ended == nil || !strings.Contains(ended.Error(), "killed") {
		t.Fatalf("the run was not killed, it ended with %v:\n%s", ended, said)
	}
}

// cutPower cuts a host's power, and gives it back when the run has ended.
func cutPower(t *testing.T, m *matrix, _ *exec.Cmd, host int) func() {
	t.Helper()
	if err := m.lab.Kill(t.Context(), host); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := m.lab.Start(t.Context(), host); err != nil {
			t.Fatal(err)
		}
	}
}

// resetConnection ends all SSH connections of a host, also the one that does it.
func resetConnection(t *testing.T, m *matrix, _ *exec.Cmd, host int) func() {
	t.Helper()
	const end = `pkill -KILL -f '^sshd(-session)?: [a-z]*[@]notty'`
	if out, err := m.lab.SSH(t.Context(), host, nil, end); err == nil {
		t.Fatalf("h%d: the connections stay: %s", host, out)
	}
	return func() {}
}

// loseConnection takes the cable out of a host until the run has ended.
func loseConnection(t *testing.T, m *matrix, _ *exec.Cmd, host int) func() {
	t.Helper()
	link := func(ctx context.Context, state string) {
		t.Helper()
		if out, err := m.lab.Command(ctx, "ip", "link", "set", fmt.Sprintf("v%d", host), state).CombinedOutput(); err != nil {
			t.Fatalf("setting the link of h%d %s: %v: %s", host, state, err, out)
		}
	}
	link(t.Context(), "down")
	return func() { link(context.WithoutCancel(t.Context()), "up") }
}

// namesHost checks that a run that fails because of a fault names the host. It may succeed if the host had nothing left to do.
func namesHost(t *testing.T, m *matrix, ended error, said string, host int) {
	t.Helper()
	if code := exitCode(ended); code != 0 && code != 1 {
		t.Fatalf("the run did not end by itself: %v\n%s\n%s", ended, said, m.lastLog())
	}
	t.Logf("the run ended with %v", ended)
	if address := m.lab.Hosts[host-1].Address; ended != nil && !strings.Contains(said, address) {
		t.Errorf("the run failed, and does not name %s:\n%s", address, said)
	}
}

// reinstall gives a host a new, empty disk, and forgets its SSH key as an administrator does.
func (r *road) reinstall(t *testing.T, i int) {
	t.Helper()
	if err := r.lab.Fresh(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	pins := filepath.Join(r.home, ".config/sealer-run/known_hosts")
	data, err := os.ReadFile(pins)
	if err != nil {
		t.Fatal(err)
	}
	address := r.lab.Hosts[i-1].Address
	others := slices.DeleteFunc(strings.SplitAfter(string(data), "\n"), func(line string) bool {
		return strings.HasPrefix(line, address+" ") || strings.HasPrefix(line, "["+address+"]:")
	})
	if err := os.WriteFile(pins, []byte(strings.Join(others, "")), 0o600); err != nil {
		t.Fatal(err)
	}
}
