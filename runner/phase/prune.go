package phase

import (
	"slices"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/state"
)

// Unlisted returns the hosts of a state that are not among some hosts, as those that leave its cluster, in the way that leaving specifies.
func (l Leaving) Unlisted(s *state.State, hosts []Host) Leaving {
	l.Masters, l.Nodes, l.Pruned = nil, nil, true
	for _, known := range s.Hosts {
		switch {
		case slices.ContainsFunc(hosts, func(h Host) bool { return h.Login.Address == known.Address }):
		case known.Role == string(host.RoleMaster):
			l.Masters = append(l.Masters, known.Address)
		default:
			l.Nodes = append(l.Nodes, known.Address)
		}
	}
	return l
}

// DepartureChecks are the phases of a [Departure] that come before the first change: they tell whether it is refused.
func DepartureChecks(c *Cluster, leaving Leaving) []Phase {
	d := &departure{Cluster: c, part: &Cluster{}, leaving: leaving}
	return []Phase{&reachLeaving{departure: d}, &checkLeaving{d}}
}
