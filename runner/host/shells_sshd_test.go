//go:build sshd

package host

import (
	"strings"
	"testing"
)

// The shells of the hosts that we meet.
func TestShells(t *testing.T) {
	for _, shell := range [][]string{{"bash"}, {"bash", "--posix"}, {"dash"}} {
		t.Run(strings.Join(shell, " "), func(t *testing.T) {
			testQuote(t, shell[0])
			testFactsScript(t, shell...)
		})
	}
}
