package phase

import (
	"context"
	"testing"
)

// killedBeforeEveryCommand lets a run end before each of its total commands, on machines as they are now, and wants the same command again to
// reach the end of an undisturbed run.
func (p *park) killedBeforeEveryCommand(t *testing.T, undisturbed *park, total int64, run func(ctx context.Context, limit int64, kill func()) error, again func() error) {
	t.Helper()
	different := map[string]int{}
	restore := p.keep()
	for limit := range total {
		restore()
		ctx, cancel := context.WithCancelCause(t.Context())
		if err := run(ctx, limit, func() { cancel(errKilled) }); err == nil {
			t.Fatalf("before command %d: not killed", limit)
		}
		if err := again(); err != nil {
			different["the second run fails: "+err.Error()]++
		}
		if p.phases(t) != undisturbed.phases(t) {
			different["the state has "+p.phases(t)]++
		}
		for i, f := range p.machines {
			compare(f, undisturbed.machines[i], different)
		}
	}
	for what, times := range different {
		t.Errorf("%d of %d times: %s", times, total, what)
	}
}
