package preflight

import (
	"fmt"
	"slices"
	"testing"

	"github.com/kubefile/kubefile/runner/check"
)

// A warning about many hosts is one line.
func TestWarningsAreGrouped(t *testing.T) {
	var findings []check.Finding
	for i := range 7 {
		findings = append(findings, check.Finding{Check: "swap", Severity: check.Error, Host: "10.0.0.1", What: "swap"},
			check.Finding{Check: "cgroup-v1", Severity: check.Warning, Host: fmt.Sprintf("10.0.0.%d", i+1), What: "old"})
	}
	findings = append(findings, check.Finding{Check: "even-masters", Severity: check.Warning, What: "2 masters", Fix: "use 3"})
	want := []string{
		"10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5 and 2 more: warning: old (cgroup-v1)",
		"warning: 2 masters; use 3 (even-masters)",
	}
	if got := warnings(findings); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
