package phase

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/kubefile/kubefile/runner/kube"
)

// etcd may answer and still list the member that was removed.
func TestMemberStaysInEtcd(t *testing.T) {
	p := established(t, 3, 0)
	synctest.Test(t, func(t *testing.T) {
		gone := kube.Member{ID: 2, Name: "h2"}
		_, err := (&leaveEtcd{&departure{Cluster: p.Cluster}}).settledEtcd(t.Context(), gone)
		if err == nil || !strings.Contains(err.Error(), "still lists") || strings.Contains(err.Error(), "%!") {
			t.Errorf("the error is %v, want that etcd still lists the member", err)
		}
	})
}
