package toolbox

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

var fileTime = time.Unix(1_700_000_000, 0)

// again runs one test in a new process with more environment.
func again(t *testing.T, test string, environment ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+test+"$", "-test.v")
	cmd.Env = append(os.Environ(), environment...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
