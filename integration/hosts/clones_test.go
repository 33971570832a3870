//go:build hosts

package hosts

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// newClone makes a directory with the scripts of the lab, and returns it.
func newClone(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	scripts, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "integration"), 0o755); err != nil {
		t.Fatal(err)
	}
	output(t, exec.CommandContext(t.Context(), "cp", "-r", scripts, filepath.Join(dir, "integration", "hosts")))
	return dir
}

// in runs a command in a clone as a lab of that name, with programs in place of those that would reach the kernel.
func (m machine) in(t *testing.T, clone, lab, command string) *exec.Cmd {
	t.Helper()
	bin := filepath.Join(clone, "fakes")
	writeScript(t, filepath.Join(bin, "ip"), `case "$1 $2" in "netns list") echo `+lab+`-lan ;; *) echo "$@" >> `+m.run+`/calls ;; esac`)
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", command)
	cmd.Dir = filepath.Join(clone, "integration", "hosts")
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "LAB_NAME="+lab, "LAB_RUN="+m.run, "LAB_PROC_SYS="+m.sys)
	return cmd
}

// upIn starts a process that holds the lab, as hosts do.
func (m machine) upIn(t *testing.T, clone, lab string) (kill func()) {
	t.Helper()
	cmd := m.in(t, clone, lab, ". ./lab.sh; . ./settings.sh; claim; register_lab; echo up; exec sleep 1000")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() { cmd.Process.Kill(); cmd.Wait() }
	t.Cleanup(kill)
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "up\n" {
		t.Fatalf("the lab in %s: %q, %v", clone, line, err)
	}
	return kill
}

// TestDownLeavesTheLabOfAnotherClone: the names in the kernel are the same, so only the owner's file tells whose they are.
func TestDownLeavesTheLabOfAnotherClone(t *testing.T) {
	m, first, second := newMachine(t), newClone(t), newClone(t)
	kill := m.upIn(t, first, "kv")
	if got := output(t, m.in(t, second, "kv", "./hosts.sh down")); !strings.Contains(got, "lab kv belongs to "+first) {
		t.Errorf("down in the other clone printed %q, want whose lab it is", got)
	}
	if calls, err := os.ReadFile(filepath.Join(m.run, "calls")); err == nil {
		t.Errorf("down in the other clone ran ip %s", calls)
	}
	m.expect(t, "after down in the other clone", wanted)
	if owner, err := os.ReadFile(filepath.Join(m.run, "kubefile-lab-kv")); err != nil || string(owner) != first+"\n" {
		t.Errorf("the owner after down in the other clone: %q, %v", owner, err)
	}
	if got, err := m.in(t, second, "kv", "./hosts.sh up 1").CombinedOutput(); err == nil || !strings.Contains(string(got), "belongs to "+first) {
		t.Errorf("up in the other clone: %v, %s", err, got)
	}

	kill()
	output(t, m.in(t, first, "kv", "./hosts.sh down"))
	if calls, err := os.ReadFile(filepath.Join(m.run, "calls")); err != nil || string(calls) != "netns del kv-lan\n" {
		t.Errorf("down in the owner's clone ran ip %q, %v", calls, err)
	}
	m.expect(t, "after down in the owner's clone", usual)
}

// TestALabIsClaimedWhileItStarts: no host of the first clone is up yet.
func TestALabIsClaimedWhileItStarts(t *testing.T) {
	m, first, second := newMachine(t), newClone(t), newClone(t)
	kill := m.upIn(t, first, "kv")
	claim := ". ./lab.sh; . ./settings.sh; claim"
	if got, err := m.in(t, second, "kv", claim).CombinedOutput(); err == nil || !strings.Contains(string(got), "belongs to "+first) {
		t.Errorf("claiming a lab that another clone starts: %v, %s", err, got)
	}
	if err := os.Rename(filepath.Join(first, "integration"), filepath.Join(first, "away")); err != nil {
		t.Fatal(err)
	}
	if got, err := m.in(t, second, "kv", claim).CombinedOutput(); err == nil || !strings.Contains(string(got), "its scripts are gone, so kill") {
		t.Errorf("claiming a lab of a clone that is removed: %v, %s", err, got)
	}
	if err := os.Rename(filepath.Join(first, "away"), filepath.Join(first, "integration")); err != nil {
		t.Fatal(err)
	}
	kill()
	output(t, m.in(t, second, "kv", claim))
	if calls, err := os.ReadFile(filepath.Join(m.run, "calls")); err != nil || string(calls) != "netns del kv-lan\n" {
		t.Errorf("claiming the lab of a clone whose hosts were killed ran ip %q, %v", calls, err)
	}
}

// TestDownKillsHostsWithoutFiles removes what tells down of a host, as rm -rf _out does.
func TestDownKillsHostsWithoutFiles(t *testing.T) {
	m, clone := newMachine(t), newClone(t)
	loop := filepath.Join(clone, "fakes", "boot-loop.sh")
	writeScript(t, loop, "exec -a systemd-nspawn sleep 1000 & while :; do wait; done")
	host := exec.CommandContext(t.Context(), loop, "kv", "h1", "h1", filepath.Join(clone, "_out", "hosts-kv"))
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- host.Wait() }()
	output(t, m.in(t, clone, "kv", "./hosts.sh down"))
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the host ended with %v, want it killed", err)
	}
}

// TestTheCacheNeedsAPlace starts hosts as a program without a home does.
func TestTheCacheNeedsAPlace(t *testing.T) {
	m, clone := newMachine(t), newClone(t)
	for _, command := range []string{"up 1", "template"} {
		got, err := m.in(t, clone, "kv", "env -u HOME -u XDG_CACHE_HOME -u KUBEFILE_CACHE ./hosts.sh "+command).CombinedOutput()
		if want := "hosts.sh: HOME is not set; set KUBEFILE_CACHE"; err == nil || !strings.HasPrefix(string(got), want) {
			t.Errorf("%s: %v, %s, want %q", command, err, got, want)
		}
	}
}
