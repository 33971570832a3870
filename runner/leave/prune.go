package leave

import (
	"slices"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/state"
)

// Unlisted returns the hosts of a state that are not among those of a Clusterfile, as those that leave its cluster, in the way that leaving specifies.
func (l Hosts) Unlisted(s *state.State, listed []host.Host) Hosts {
	l.Masters, l.Nodes, l.Pruned = nil, nil, true
	for _, known := range s.Hosts {
		switch {
		case slices.ContainsFunc(listed, func(h host.Host) bool { return h.Address == known.Address }):
		case known.Role == string(host.RoleMaster):
			l.Masters = append(l.Masters, known.Address)
		default:
			l.Nodes = append(l.Nodes, known.Address)
		}
	}
	return l
}
