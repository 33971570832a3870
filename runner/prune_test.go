package runner

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/leave"
	"github.com/kubefile/kubefile/runner/state"
)

// TestPruneIsCheckedFirst: hosts that cannot be taken out of the cluster stop an apply before it begins. Without them it begins at once.
func TestPruneIsCheckedFirst(t *testing.T) {
	for name, absent := range map[string]bool{"absent host": true, "nothing to take out": false} {
		t.Run(name, func(t *testing.T) {
			h := newTestHost(t)
			h.knows(t, func(s *state.State) {
				if absent {
					s.Put(state.Host{Address: netip.MustParseAddr("127.99.0.1"), Name: "h9", Role: "node", Phase: state.Complete})
				}
			})
			var out bytes.Buffer
			changes, err := Run(t.Context(), []string{clusterLayout(t, "kubernetes")}, fromForeign(), h.Site, Options{Prune: &leave.Hosts{}}, &out)
			if began := strings.Contains(h.progress.String(), "Check the cluster image"); began == absent || changes > 0 {
				t.Errorf("it began: %v\n%s", began, h.progress)
			}
			if absent {
				if want := "check the removal of hosts that the Clusterfile does not list: 127.99.0.1:\n"; !strings.Contains(h.progress.String(), want) {
					t.Errorf("want %q in:\n%s", want, h.progress)
				}
				wantError(t, err, "hosts that the Clusterfile does not list: Reach the hosts: 127.99.0.1 does not answer", "delete --lost -f Clusterfile -n 127.99.0.1")
			}
		})
	}
}
