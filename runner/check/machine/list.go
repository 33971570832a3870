// Package machine has the checks of hosts as machines: what they are, what is on them, and whether an image can run there.
package machine

import (
	"slices"

	"github.com/kubefile/kubefile/runner/check"
)

// Checks are the checks of this package, in the order in which their findings about one host are shown.
func Checks() []check.Check {
	return slices.Concat(images(), identity(), unknowns(), clocks(), resources(), disks(), kernels(), foreign(), software())
}
