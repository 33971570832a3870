package leave

import (
	"context"
	"fmt"

	"github.com/kubefile/kubefile/runner/state"
)

// Record notes in the cluster's state which hosts leave, before the first change: whoever reads it knows that they may be half gone.
type Record struct{ *Departure }

// Title says what the phase does, for a person.
func (*Record) Title() string { return "Record which hosts leave" }

// Run checks again, now that the hosts are locked, and writes the state.
func (p *Record) Run(ctx context.Context) error {
	if !p.DryRun {
		if err := p.checkAgain(ctx); err != nil {
			return err
		}
	}
	phase := state.Leaving
	if p.Leaving.Lost {
		phase = state.Lost
	}
	changed := false
	for _, l := range p.leavers {
		h := state.Host{Address: l.address, Name: l.name, Role: string(l.role)}
		if known := p.Store.State.Host(l.address); known != nil {
			h = *known
		}
		if h.Phase != phase {
			h.Phase, changed = phase, true
			p.Store.State.Put(h)
		}
	}
	if !changed {
		return nil
	}
	return p.Do(ctx, p.First(), fmt.Sprintf("record in the cluster's state which hosts leave: %s", p.leavingNames()), func(ctx context.Context) error {
		return p.Store.Save(ctx, p.Session)
	})
}

// checkAgain is the check of before, now that no other run works on the hosts. The state may have been changed since it was read, too.
func (p *Record) checkAgain(ctx context.Context) error {
	if err := p.Store.Recall(ctx, p.Session, p.Plugins); err != nil {
		return err
	}
	if err := p.Part.Each(ctx, p.Part.Members, p.Refresh); err != nil {
		return err
	}
	if err := p.checkAll(ctx); err != nil {
		return fmt.Errorf("nothing was changed:\n%w", err)
	}
	return nil
}
