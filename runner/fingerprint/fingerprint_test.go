package fingerprint

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/registry"
)

// TestOf: a plain site has no fingerprints, and another cluster has others of the same site.
func TestOf(t *testing.T) {
	site := &clusterfile.Clusterfile{Cluster: &clusterfile.Cluster{Name: "default"}}
	if prints := Of("a", site, nil, registry.Settings{}); prints == nil || len(prints) > 0 {
		t.Errorf("of a plain site: %v", prints)
	}
	flags, settings := environment.Set{"A": {"s3cret"}}, registry.Settings{Username: "u", Password: "s3cret"}
	one, other := Of("a", site, flags, settings), Of("b", site, flags, settings)
	if len(one) != 2 || one[Environment] == other[Environment] || one[Registry] == other[Registry] || strings.Contains(fmt.Sprint(one), "s3cret") {
		t.Errorf("of two clusters: %v, %v", one, other)
	}
	settings.Password = "another"
	if now := Of("a", site, flags, settings); !maps.Equal(now, one) {
		t.Errorf("they depend on a password: %v, %v", one, now)
	}
}
