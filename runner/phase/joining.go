package phase

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/kubefile/kubefile/runner/command"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/leave"
	"github.com/kubefile/kubefile/runner/state"
)

// Missing returns those of the hosts that are to join that are not completely in the cluster yet, and refuses those that are in it with another
// role, leave it, or come back empty.
func (in Recalled) Missing(j execute.Joining) (missing execute.Joining, err error) {
	missing.ByFile, missing.Empty = j.ByFile, in.Empty
	var refused []error
	choose := func(role host.Role, addresses []netip.Addr) (chosen []netip.Addr) {
		for _, address := range addresses {
			known := in.State.Host(address)
			switch {
			case slices.Contains(in.Empty, address) && known.Role == string(role):
				refused = append(refused, fmt.Errorf("%s is in the cluster as %s and comes back empty: apply brings it back; leave it out here", address, known.Name))
			case known == nil || !known.In() || known.Phase == state.Joined && known.Role == string(role):
				chosen = append(chosen, address)
			case known.Leaves():
				refused = append(refused, leave.Interrupted(*known))
			case known.Role != string(role):
				refused = append(refused, fmt.Errorf("%s is already a %s in this cluster and cannot be added as a %s", address, known.Role, role))
			}
		}
		return chosen
	}
	missing.Masters = choose(host.RoleMaster, j.Masters)
	missing.Nodes = choose(host.RoleNode, j.Nodes)
	return missing, errors.Join(refused...)
}

// Addition is everything that adds hosts to a running cluster: a bring-up that prepares only these, and changes on the others what they have to
// know. The image's commands are of the cluster, and have run.
func Addition(c *Cluster) []Phase { return withoutCommands(Bringup(c)) }

// AppAddition is everything that brings an application image of the cluster to hosts that have joined.
func AppAddition(c *Cluster) []Phase { return withoutCommands(Installation(c)) }

func withoutCommands(all []Phase) (phases []Phase) {
	for _, one := range all {
		if _, runs := one.(*command.RunCommands); runs {
			continue
		}
		phases = append(phases, one)
		if read, reads := one.(*remember); reads {
			phases = append(phases, read.checkJoining())
		}
	}
	return phases
}
