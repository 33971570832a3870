// Package network has the checks of what is between hosts: networks, firewalls, and the ports that hosts have to reach on each other.
package network

import (
	"slices"

	"github.com/kubefile/kubefile/runner/check"
)

// Checks are the checks of this package, in the order in which their findings about one host are shown.
func Checks() []check.Check { return slices.Concat(networks(), firewalls(), connections()) }
