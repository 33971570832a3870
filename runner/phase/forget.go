package phase

import (
	"context"
	"fmt"
)

// forget takes the hosts out of the cluster's state, when nothing of them is left in the cluster.
type forget struct{ *departure }

func (*forget) Title() string { return "Remove the hosts from the cluster's state" }

func (p *forget) Run(ctx context.Context) error {
	changed := false
	for _, l := range p.leavers {
		if !p.DryRun { // its kubelet may have registered it again before it was stopped
			if err := p.deleteNode(ctx, l); err != nil {
				return err
			}
		}
		changed = p.State.Remove(l.address) || changed
	}
	if !changed {
		return nil
	}
	return p.Do(ctx, p.First(), fmt.Sprintf("remove %s from the cluster's state", p.leavingNames()), func(ctx context.Context) error {
		return p.SaveWhole(ctx, &p.Session)
	})
}
