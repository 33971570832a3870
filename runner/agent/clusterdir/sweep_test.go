package clusterdir

import (
	"os"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/agent/agenttest"
)

// TestSweepSparesTheLiving does not remove what is being received.
func TestSweepSparesTheLiving(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	living, err := CreateIncoming(root)
	if err != nil {
		t.Fatal(err)
	}
	defer living.Discard()
	if err := root.WriteFile(IncomingDir+"/dead", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := SweepIncoming(root); err != nil {
		t.Fatal(err)
	}
	if got := agenttest.Tree(t, root.Name()); strings.Contains(got, "dead") || !strings.Contains(got, living.name) {
		t.Fatal(got)
	}
}
