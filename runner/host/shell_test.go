package host

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/host/hosttest"
)

func TestQuote(t *testing.T) { testQuote(t, "sh") }

func testQuote(t *testing.T, shell string) {
	line := Quote(append([]string{"printf", "%s\\0"}, hosttest.Awkward()...))
	out, err := exec.Command(shell, "-c", line).Output()
	if err != nil {
		t.Fatal(shell, err)
	}
	if want := strings.Join(hosttest.Awkward(), "\x00") + "\x00"; string(out) != want {
		t.Errorf("%s: %q\nwant %q", shell, out, want)
	}
}
