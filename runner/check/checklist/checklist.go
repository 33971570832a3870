// Package checklist lists the checks of a site that run before anything is changed: whether the hosts can become what an image needs.
package checklist

import (
	"slices"

	"github.com/kubefile/kubefile/runner/check"
	"github.com/kubefile/kubefile/runner/check/machine"
	"github.com/kubefile/kubefile/runner/check/network"
)

// Run runs all checks on a site.
func Run(s *check.Site) []check.Finding { return check.Run(s, All()) }

// All are all checks, in the order in which their findings about one host are shown.
func All() []check.Check {
	return slices.Concat(machine.Checks(), network.Checks())
}
