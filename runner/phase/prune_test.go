package phase

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/leave"
	"github.com/kubefile/kubefile/runner/state"
)

// prune is an apply of a Clusterfile that lists some machines, by their numbers, which takes the others out of the cluster. It is a run that
// knows nothing, and of which nothing reaches a host after so many commands.
func (p *park) prune(ctx context.Context, t *testing.T, listed []int, dry bool, limit int64, kill func()) (plan string, commands int64, err error) {
	t.Helper()
	s, err := state.Parse(p.world.secret)
	if err != nil {
		t.Fatal(err)
	}
	next, n := p.some(listed...).again(t, limit, kill)
	next.DryRun = dry
	leaving := leave.Hosts{}.Unlisted(s, next.Logins())
	next.Next = leaving.Addresses()
	if err := next.perform(ctx); err != nil {
		return "", n.Load(), err
	}
	plan = next.plan(t)
	if len(next.Next) == 0 {
		return plan, n.Load(), nil
	}
	p.Cluster.DryRun = dry
	last, more, err := p.leave(ctx, t, leaving, listed, limit-n.Load(), kill)
	return plan + last.plan(t), n.Load() + more, err
}

// TestPrune: hosts that are not listed leave after those that are new have joined, and no file of those that stay names them.
func TestPrune(t *testing.T) {
	cases := []struct {
		name           string
		masters, nodes int
		listed         []int
		changes, left  string
	}{
		{"nothing", 1, 1, []int{0, 1}, "", "h1:complete h2:complete"},
		{"a node", 1, 2, []int{0, 1}, "drain h3, delete node h3", "h1:complete h2:complete"},
		{"a master and a node", 3, 2, []int{0, 1, 3}, "drain h5, drain h3, remove member 3, delete node h5, delete node h3", "h1:complete h2:complete h4:complete"},
		{"the first master", 3, 0, []int{1, 2}, "drain h1, remove member 1, delete node h1", "h2:complete h3:complete"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := established(t, c.masters, c.nodes)
			if _, _, err := p.prune(t.Context(), t, c.listed, false, 1<<40, forever); err != nil {
				t.Fatal(err)
			}
			if got := p.changes(); got != c.changes {
				t.Errorf("changes of the cluster: got %s, want %s", got, c.changes)
			}
			if got := p.phases(t); got != c.left {
				t.Errorf("in the state are %s, want %s", got, c.left)
			}
			for i, f := range p.machines {
				listed := slices.Contains(c.listed, i)
				if f.has(p.Dir()+"/"+hostrecord.JournalFile) != listed {
					t.Errorf("%s: cleaned, and listed is %v", f.host, listed)
				}
				for j, other := range p.machines {
					if names := f.mentions(other.host.String()); listed && !slices.Contains(c.listed, j) && len(names) > 0 {
						t.Errorf("%s: %s is in %v", f.host, other.host, names)
					}
				}
			}
		})
	}
}

// replacing is a cluster of a master and a node, and a machine that replaces the node.
func replacing(t *testing.T) *park {
	t.Helper()
	p := untouched(t, artifact(t), authority(t), 1, 2)
	first, _ := p.some(0, 1).again(t, 1<<40, forever)
	if err := first.perform(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.cleanable(first.Members)
	return p
}

// TestPruneAsPlanned: a dry run says what a run does, and does nothing, also of hosts that are new.
func TestPruneAsPlanned(t *testing.T) {
	for name, c := range map[string]struct {
		p      func(*testing.T) *park
		listed []int
	}{
		"node":              {func(t *testing.T) *park { return established(t, 2, 2) }, []int{0, 1, 2}},
		"master":            {func(t *testing.T) *park { return established(t, 3, 1) }, []int{0, 1, 3}},
		"a node by another": {replacing, []int{0, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			p := c.p(t)
			var plans []string
			for _, dry := range []bool{true, false} {
				before := p.phases(t)
				plan, _, err := p.prune(t.Context(), t, c.listed, dry, 1<<40, forever)
				if err != nil {
					t.Fatal(err)
				}
				plans = append(plans, plan)
				if dry && (p.changes() != "" || p.phases(t) != before) {
					t.Errorf("a dry run changed %s", p.changes())
				}
			}
			if plans[0] != plans[1] {
				t.Errorf("planned\n%s\ndone\n%s", plans[0], plans[1])
			}
		})
	}
}

// TestPruneKilledBeforeEveryCommand: the same command again reaches the end of an undisturbed run.
func TestPruneKilledBeforeEveryCommand(t *testing.T) {
	undisturbed, listed := replacing(t), []int{0, 2}
	_, total, err := undisturbed.prune(t.Context(), t, listed, false, 1<<40, forever)
	if err != nil {
		t.Fatal(err)
	}
	p := replacing(t)
	prune := func(ctx context.Context, limit int64, kill func()) error {
		_, _, err := p.prune(ctx, t, listed, false, limit, kill)
		return err
	}
	p.killedBeforeEveryCommand(t, undisturbed, total, prune, func() error { return prune(t.Context(), 1<<40, forever) })
}

// TestPruneIsRefused: what a removal refuses is known before the Clusterfile is applied, and says what to run.
func TestPruneIsRefused(t *testing.T) {
	p := established(t, 1, 1)
	p.world.leaving.dead["h2"] = true
	s, err := state.Parse(p.world.secret)
	if err != nil {
		t.Fatal(err)
	}
	leaving := leave.Hosts{}.Unlisted(s, p.Logins()[:1])
	if got := fmt.Sprint(leaving.Masters, leaving.Nodes); got != "[] [10.0.0.2]" {
		t.Errorf("not listed are %s", got)
	}
	want := "10.0.0.2 does not answer: no route to host; if this host is gone for good, remove it first with delete --lost -f Clusterfile -n 10.0.0.2"
	if _, _, err := p.leave(t.Context(), t, leaving, []int{0}, 1<<40, forever); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the error is %v, want %q", err, want)
	}
	p = established(t, 3, 0)
	p.world.leaving.dead["h3"] = true
	want = "10.0.0.3 does not answer: no route to host; if this host is gone for good, remove it first with delete --lost -f Clusterfile -m 10.0.0.3"
	if _, _, err := p.leave(t.Context(), t, leave.Hosts{Masters: numbered(3), Pruned: true}, []int{0, 1}, 1<<40, forever); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the error is %v, want %q", err, want)
	}
	checks := DepartureChecks(p.Cluster, leaving)
	if all := Departure(p.Cluster, leaving); fmt.Sprintf("%T", checks) != fmt.Sprintf("%T", all[:2]) || checks[1].Title() != all[1].Title() {
		t.Errorf("what is checked is not what a removal begins with")
	}
}

// TestSayAbsent: what becomes of hosts that were not named.
func TestSayAbsent(t *testing.T) {
	p := newPark(t, 1, 3).joined(4).without(3).without(2)
	p.Next = numbered(4)
	(&remember{p.Cluster}).sayAbsent()
	p.Hosts, p.Unlisted = p.Hosts[:1], host.Auth{User: "ops", Port: 2222}
	if got := p.Cluster.Unnamed(&p.Cluster.Session, &p.Cluster.Store); len(got) != 2 || got[0].Auth != p.Unlisted {
		t.Errorf("an application comes to %v besides the host that is named, want 10.0.0.2 and 10.0.0.3", got)
	}
	for _, want := range []string{"not named, and left in the cluster as they are: 10.0.0.3 (h3, node)\n",
		"not in the Clusterfile, and removed from the cluster after this: 10.0.0.4 (h4, node)\n"} {
		if !strings.Contains(p.out.String(), want) {
			t.Errorf("no %q in:\n%s", want, p.out)
		}
	}
}
