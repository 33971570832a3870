package health

import (
	"testing"

	"github.com/kubefile/kubefile/runner/kube"
)

func TestRepelsDNS(t *testing.T) {
	for taint, want := range map[kube.Taint]bool{
		{Key: "node-role.kubernetes.io/control-plane", Effect: "NoSchedule"}: false,
		{Key: "dedicated", Value: "web", Effect: "PreferNoSchedule"}:         false,
		{Key: "dedicated", Value: "web", Effect: "NoSchedule"}:               true,
		{Key: "node.kubernetes.io/unschedulable", Effect: "NoSchedule"}:      true,
		{Key: "node.kubernetes.io/unreachable", Effect: "NoExecute"}:         true,
	} {
		if got := repelsDNS(taint); got != want {
			t.Errorf("%+v: %v", taint, got)
		}
	}
}
