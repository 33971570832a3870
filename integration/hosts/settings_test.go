//go:build hosts

package hosts

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// machine is a directory in place of /run and /proc/sys.
type machine struct{ run, sys string }

const (
	usual  = "128 65536 4096"
	wanted = "8192 1048576"
)

func newMachine(t *testing.T) machine {
	t.Helper()
	m := machine{run: t.TempDir(), sys: t.TempDir()}
	for name, value := range map[string]string{
		"fs/inotify/max_user_instances": "128", "fs/inotify/max_user_watches": "65536", "net/netfilter/nf_conntrack_max": "4096",
	} {
		file := filepath.Join(m.sys, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// bash runs functions of settings.sh as a lab of that name.
func (m machine) bash(t *testing.T, lab, command string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", ". ./lab.sh; . ./settings.sh; "+command)
	cmd.Env = append(os.Environ(), "LAB_NAME="+lab, "LAB_RUN="+m.run, "LAB_PROC_SYS="+m.sys)
	cmd.Stderr = os.Stderr
	return cmd
}

// host is a lab's process: it registers the lab and lives until it is killed.
func (m machine) host(t *testing.T, lab string) (kill func()) {
	t.Helper()
	cmd := m.bash(t, lab, "register_lab; echo up; exec cat")
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "up\n" {
		t.Fatalf("registering %s: %q, %v", lab, line, err)
	}
	kill = func() {
		cmd.Process.Kill()
		io.Copy(io.Discard, out)
		cmd.Wait()
		input.Close()
	}
	t.Cleanup(kill)
	return kill
}

func (m machine) down(t *testing.T, lab string) {
	t.Helper()
	output(t, m.bashCombined(t, lab))
}

func (m machine) bashCombined(t *testing.T, lab string) *exec.Cmd {
	cmd := m.bash(t, lab, "unregister_lab")
	cmd.Stderr = nil
	return cmd
}

func (m machine) expect(t *testing.T, when, want string) {
	t.Helper()
	var values []string
	for _, name := range []string{"fs/inotify/max_user_instances", "fs/inotify/max_user_watches", "net/netfilter/nf_conntrack_max"} {
		data, err := os.ReadFile(filepath.Join(m.sys, name))
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, strings.TrimSpace(string(data)))
	}
	if got := strings.Join(values, " "); !strings.HasPrefix(got, want) {
		t.Errorf("%s: got %q, want %q", when, got, want)
	}
}

// TestSettingsGoBackWithTheLastLab takes two labs down in both orders.
func TestSettingsGoBackWithTheLastLab(t *testing.T) {
	for _, order := range [][]string{{"a", "b"}, {"b", "a"}} {
		m := newMachine(t)
		kill := map[string]func(){"a": m.host(t, "a"), "b": m.host(t, "b")}
		m.expect(t, "both labs up", wanted)
		kill[order[0]]()
		m.down(t, order[0])
		m.expect(t, "one lab left", wanted)
		kill[order[1]]()
		m.down(t, order[1])
		m.expect(t, "no lab left", usual)
	}
}

// TestSettingsSurviveKilledLabs kills a lab without taking it down: it keeps nothing, and it can come back.
func TestSettingsSurviveKilledLabs(t *testing.T) {
	m := newMachine(t)
	m.host(t, "a")()
	m.expect(t, "the lab is killed", wanted)
	killB := m.host(t, "b")
	killA := m.host(t, "a")
	killB()
	m.down(t, "b")
	m.expect(t, "the killed lab is back", wanted)
	killA()
	m.host(t, "b")()
	m.down(t, "b")
	m.expect(t, "only a killed lab is left", usual)
	m.down(t, "a")
	m.expect(t, "and cleared away", usual)
}
