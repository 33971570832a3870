package leave

import (
	"context"
	"fmt"
)

// Forget takes the hosts out of the cluster's state, when nothing of them is left in the cluster.
type Forget struct{ *Departure }

// Title says what the phase does, for a person.
func (*Forget) Title() string { return "Remove the hosts from the cluster's state" }

// Run deletes nodes that have registered again meanwhile, and writes the state.
func (p *Forget) Run(ctx context.Context) error {
	changed := false
	for _, l := range p.leavers {
		if !p.DryRun { // its kubelet may have registered it again before it was stopped
			if err := p.deleteNode(ctx, l); err != nil {
				return err
			}
		}
		changed = p.Store.State.Remove(l.address) || changed
	}
	if !changed {
		return nil
	}
	return p.Do(ctx, p.First(), fmt.Sprintf("remove %s from the cluster's state", p.leavingNames()), func(ctx context.Context) error {
		return p.Store.SaveWhole(ctx, p.Session)
	})
}
