package reconfigure

import (
	"testing"

	"github.com/kubefile/kubefile/runner/execute"
)

// TestBatch: how many kubelets are started again at once.
func TestBatch(t *testing.T) {
	for nodes, want := range map[int]int{0: 1, 1: 1, 9: 1, 20: 2, 500: execute.MaxHosts} {
		if got := batch(nodes); got != want {
			t.Errorf("of %d nodes: got %d, want %d", nodes, got, want)
		}
	}
}
