//go:build hosts

package hosts

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestCallsWithoutAHost: what is wrong with a call is in its first line, and what to run next.
func TestCallsWithoutAHost(t *testing.T) {
	const lab = "kz"
	for _, c := range []struct {
		line, want string
		status     int
	}{
		{"on 1 true", "hosts.sh: there is no host h1: no hosts in lab kz: start some (LAB_NAME=kz make hosts), or name a lab that has them", 1},
		{"hosts.sh start 1", "hosts.sh: there is no host h1: no hosts in lab kz: start some", 1},
		{"hosts.sh kill 1", "hosts.sh: there is no host h1", 1},
		{"hosts.sh fresh 1", "hosts.sh: there is no host h1", 1},
		{"hosts.sh fresh", `hosts.sh: invalid host ""`, 1},
		{"on h1 true", `hosts.sh: invalid host "h1": give its number, such as 1 for h1`, 1},
		{"on", `hosts.sh: invalid host ""`, 1},
		{"hosts.sh status", "no hosts in lab kz: start some (LAB_NAME=kz make hosts)", 0},
		{"hosts.sh foo", `hosts.sh: unknown command "foo"`, 2},
		{"hosts.sh", "# hosts.sh up N ", 2},
	} {
		t.Run(c.line, func(t *testing.T) {
			cmd := exec.Command("bash", "-c", "./"+c.line)
			cmd.Env = append(os.Environ(), "LAB_NAME="+lab)
			out, _ := cmd.CombinedOutput() // the status is what counts
			if got := cmd.ProcessState.ExitCode(); got != c.status || !strings.HasPrefix(string(out), c.want) {
				t.Errorf("got status %d, want %d with %q at the beginning of:\n%s", got, c.status, c.want, out)
			}
			if _, err := os.Stat("../../_out/hosts-" + lab); err == nil {
				t.Errorf("there is a directory of lab %s", lab)
			}
		})
	}
}
