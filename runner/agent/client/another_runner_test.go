package client

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/agent/agenttest"
	"github.com/kubefile/kubefile/runner/agent/clusterdir"
	"github.com/kubefile/kubefile/runner/agent/journal"
	"github.com/kubefile/kubefile/runner/agent/wire"
)

// Without an agent on the host, or with one that cannot do it, the runner that is given does it, and does not stay.
func TestRemovalWithAnotherRunner(t *testing.T) {
	c := newHost(t)
	own := c.path
	c.path = filepath.Join(filepath.Dir(filepath.Dir(c.Dir)), "sealer-run")
	if _, err := journal.WriteFile(wire.FileRequest{Dir: c.Dir, Path: filepath.Join(c.Dir, "inside"), Mode: 0o644}, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.RemoveCreated(t.Context(), "default", "", nil); err == nil || !agenttest.Exists(c.Dir) {
		t.Fatalf("got %v", err)
	}
	sum, err := clusterdir.DigestOf(own)
	if err != nil {
		t.Fatal(err)
	}
	left, err := c.RemoveCreated(t.Context(), "default", "", func() (Binary, error) { return Binary{File: own, Digest: sum}, nil })
	if err != nil || len(left) != 0 {
		t.Fatal(left, err)
	}
	if got := agenttest.Tree(t, filepath.Dir(c.path)); got != "" {
		t.Errorf("left:\n%s", got)
	}
}
