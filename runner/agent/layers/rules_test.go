package layers

import (
	"testing"

	"github.com/kubefile/kubefile/imagespec/hostiletest"
	"github.com/kubefile/kubefile/runner/agent/agenttest"
	"github.com/kubefile/kubefile/runner/source/sourcetest"
)

// entriesOf are the files of a hostile case as a layer has them.
func entriesOf(c hostiletest.Case) []e {
	var entries []e
	for _, f := range c.Files {
		entries = append(entries, e{Name: f.Name, Content: f.Content, Link: f.Link, Type: f.Type})
	}
	return entries
}

// TestTheAgentRefusesWhatEveryReaderDoes: the last line of defence has the rules of the first.
func TestTheAgentRefusesWhatEveryReaderDoes(t *testing.T) {
	for name, c := range hostiletest.Rootfs() {
		t.Run(name, func(t *testing.T) {
			if path, err := apply(t, entriesOf(c)); err == nil {
				t.Errorf("accepted:\n%s", agenttest.Tree(t, path))
			}
		})
	}
	for name, c := range hostiletest.Store() {
		t.Run("store, "+name, func(t *testing.T) {
			embedded := sourcetest.Embedded(t, map[string]string{"quay.io/b:1": "b"})
			s := ship(t, t.TempDir(), "", append(embedded, entriesOf(c)...)...)
			if err := s.put(); err == nil {
				t.Error("accepted")
			}
		})
	}
}
