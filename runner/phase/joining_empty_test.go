package phase

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/join"
	"github.com/kubefile/kubefile/runner/leave"
	"github.com/kubefile/kubefile/runner/reach"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/state"
	"github.com/kubefile/kubefile/runner/store"
)

// enlarging are three masters and three nodes, of which the last master and the last node are not in the cluster, and are to join it.
func enlarging(t *testing.T) (p *park, master, node *execute.Joining) {
	t.Helper()
	p = untouched(t, artifact(t), authority(t), 4, 3)
	part := p.some(0, 1, 2, 4, 5)
	first, _ := part.again(t, 1<<40, forever)
	if err := first.perform(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.cleanable(first.Members)
	return p, &execute.Joining{Masters: numbered(4)}, &execute.Joining{Nodes: numbered(7)}
}

// dialed has a run reach the machines that have power.
func (p *park) dialed() {
	p.Dial = func(ctx context.Context, hosts []host.Host) (reports []host.Report) {
		for _, h := range hosts {
			report := host.Report{Host: h, Err: errors.New("no route to host")}
			at := slices.IndexFunc(p.machines, func(f *machine) bool { return f.host.Address == h.Address })
			if at >= 0 && !p.world.leaving.dead[p.machines[at].node()] {
				report = host.Report{Host: h, Conn: p.machines[at]}
				report.Facts, report.Err = host.Gather(ctx, report.Conn, p.DataRoot)
			}
			reports = append(reports, report)
		}
		return reports
	}
}

// TestRecallFindsEmptyHosts: of the hosts that answer, those with nothing of the cluster on them, though its state has them as nodes.
func TestRecallFindsEmptyHosts(t *testing.T) {
	p := established(t, 3, 3)
	p.replaceDisk(1)
	p.replaceDisk(4)
	p.world.leaving.dead["h6"] = true
	s, err := state.Parse(p.world.secret)
	if err != nil {
		t.Fatal(err)
	}
	s.Host(numbered(4)[0]).Phase = state.Leaving
	if p.world.secret, err = s.Next(state.Fingerprint(p.world.secret)); err != nil {
		t.Fatal(err)
	}
	p.machines[3].undo()
	next := &park{out: &bytes.Buffer{}, machines: p.machines, world: p.world}
	next.Cluster = &Cluster{Session: execute.Session{Name: p.Name, DataRoot: p.DataRoot, Report: report.New(next.out)}, Site: bareSite(), Inventory: reach.Inventory{Hosts: []reach.Host{{Login: p.machines[0].host}}}}
	next.dialed()
	found, err := Recall(t.Context(), next.Cluster)
	if err != nil || !slices.Equal(found.Empty, numbered(2, 5)) || len(found.Unreached) != 1 {
		t.Errorf("empty are %v, and %d were not reached, %v", found.Empty, len(found.Unreached), err)
	}
}

// TestEmptyHostsThatAreToJoin: a host of the cluster that comes back empty is not in it, and does not become a new one by join.
func TestEmptyHostsThatAreToJoin(t *testing.T) {
	s := state.New("default")
	for i, phase := range []state.Phase{state.Complete, state.Joined, state.Joining} {
		s.Put(state.Host{Address: numbered(byte(i + 1))[0], Name: fmt.Sprintf("h%d", i+1), Role: "node", Phase: phase})
	}
	found := Recalled{State: s, Empty: numbered(1, 2)}
	for i, want := range []string{"10.0.0.1 is in the cluster as h1 and comes back empty: apply brings it back", "10.0.0.2 is in the cluster as h2 and comes back empty", ""} {
		missing, err := found.Missing(execute.Joining{Nodes: numbered(byte(i + 1))})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %q", err, want)
		}
		if err == nil && !slices.Equal(missing.Empty, found.Empty) {
			t.Errorf("the run knows %v as empty", missing.Empty)
		}
	}
}

// leftAlone fails unless a machine has nothing of the cluster, and the cluster has all that it had of it.
func (p *park) leftAlone(t *testing.T, i int) {
	t.Helper()
	f := p.machines[i]
	for name := range f.files {
		if name != execute.HostsFile && name != authorityFile {
			t.Errorf("%s: %s was written", f.host, name)
		}
	}
	if strings.Contains(f.get(execute.HostsFile), p.Name) {
		t.Errorf("%s: %s was changed", f.host, execute.HostsFile)
	}
	if p.world.elsewhere[f.node()] == "" || f.host.Role == host.RoleMaster && p.world.leaving.memberOf(f) < 0 {
		t.Errorf("%s: of its node and its member are left %v, %v", f.host, p.world.elsewhere, p.world.leaving.etcd)
	}
}

// TestJoinBringsBackNoOthers: hosts of the cluster that come back empty are left as they are when others join, whether they were known as empty
// when the run began or were emptied since.
func TestJoinBringsBackNoOthers(t *testing.T) {
	for _, known := range []bool{true, false} {
		t.Run(fmt.Sprintf("known is %v", known), func(t *testing.T) {
			p, _, node := enlarging(t)
			p.replaceDisk(2)
			p.replaceDisk(5)
			run := p.some(0, 1, 2, 4, 5, 6)
			if known {
				run, node.Empty = p.some(0, 1, 4, 6), numbered(3, 6)
			}
			var plans []string
			for _, dry := range []bool{true, false} {
				next, _, err := run.add(t.Context(), t, node, dry, 1<<40, forever)
				if err != nil {
					t.Fatalf("%v\n%s", err, next.out)
				}
				plans = append(plans, next.plan(t))
				if said := strings.Count(next.out.String(), join.LeftEmpty); said != 2 && !known || strings.Contains(next.out.String(), "joins again in place of") {
					t.Errorf("it said\n%s", next.out)
				}
			}
			if plans[0] != plans[1] {
				t.Errorf("planned\n%s\ndone\n%s", plans[0], plans[1])
			}
			p.leftAlone(t, 2)
			p.leftAlone(t, 5)
			if got, want := p.phases(t), "h1:complete h2:complete h3:complete h5:complete h6:complete h7:complete"; got != want || p.changes() != "delete node h7" { // as before every join
				t.Errorf("in the state are %s, want %s; it changed %s", got, want, p.changes())
			}
		})
	}
}

// TestNoMasterJoinsWithDeadMembers: before any change, with what to run for the host of the dead member.
func TestNoMasterJoinsWithDeadMembers(t *testing.T) {
	cases := []struct {
		name    string
		members []int
		prepare func(p *park, joining *execute.Joining)
		want    []string
	}{
		{"empty, and left out", []int{0, 1, 3, 4, 5}, func(p *park, joining *execute.Joining) { p.replaceDisk(2); joining.Empty = numbered(3) },
			[]string{"member h3 (https://10.0.0.3:2380) of etcd does not answer, so no master can join", "bring that host back first with apply, or remove it with delete -m 10.0.0.3"}},
		{"empty since", []int{0, 1, 2, 3, 4, 5}, func(p *park, _ *execute.Joining) { p.replaceDisk(2) },
			[]string{"member h3 (https://10.0.0.3:2380) of etcd does not answer, so no master can join", "bring that host back first with apply"}},
		{"without power", []int{0, 1, 3, 4, 5}, func(p *park, _ *execute.Joining) { p.world.leaving.dead["h3"] = true },
			[]string{"member h3 (https://10.0.0.3:2380) of etcd does not answer, so no master can join", "sealer-run delete --lost -m 10.0.0.3 --via 10.0.0.1"}},
		{"its etcd only", []int{0, 1, 2, 3, 4, 5}, func(p *park, _ *execute.Joining) { p.world.leaving.dead["h3"] = true },
			[]string{"so no master can join; to find out why", "on 10.0.0.3"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p, master, node := enlarging(t)
			c.prepare(p, master)
			before := p.phases(t)
			next, _, err := p.some(c.members...).add(t.Context(), t, master, false, 1<<40, forever)
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("the error is %v, want %q", err, want)
				}
			}
			if got := next.plan(t); got != "nothing to do\n" || p.changes() != "" || p.phases(t) != before {
				t.Errorf("it changed %s\n%s, and recorded %s", p.changes(), got, p.phases(t))
			}
			// A node does not need all members.
			node.Empty = master.Empty
			with := append(slices.DeleteFunc(slices.Clone(c.members), func(i int) bool { return i == 3 }), 6)
			if _, _, err := p.some(with...).add(t.Context(), t, node, false, 1<<40, forever); err != nil {
				t.Errorf("no node joins: %v", err)
			}
		})
	}
}

// TestJoinerComesBackEmpty: a host whose join was interrupted, and which was installed again since, joins as a new one.
func TestJoinerComesBackEmpty(t *testing.T) {
	p, master, _ := enlarging(t)
	run := p.some(0, 1, 2, 3, 4, 5)
	if _, _, err := run.add(t.Context(), t, master, false, 1<<40, forever); err != nil {
		t.Fatal(err)
	}
	s, err := state.Parse(p.world.secret)
	if err != nil {
		t.Fatal(err)
	}
	s.Host(numbered(4)[0]).Phase = state.Joining
	if p.world.secret, err = s.Next(state.Fingerprint(p.world.secret)); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		p.machines[i].files[p.Dir()+"/"+store.File] = string(p.world.secret)
	}
	p.replaceDisk(3)
	p.forget()
	next, _, err := run.add(t.Context(), t, master, false, 1<<40, forever)
	if err != nil || !strings.Contains(next.out.String(), "10.0.0.4: comes back empty, and joins again in place of member h4") {
		t.Fatalf("%v\n%s", err, next.out)
	}
	if got := p.changes(); !strings.Contains(got, "remove member 4, delete node h4") || len(p.world.leaving.etcd) != 4 || len(p.world.elsewhere) > 0 {
		t.Errorf("it changed %s; members are %v", got, p.world.leaving.etcd)
	}
}

// TestJoinRegistersNoOthers: a node that somebody deleted comes back by apply, and not because another host joins.
func TestJoinRegistersNoOthers(t *testing.T) {
	p, _, node := enlarging(t)
	p.world.gone = map[string]bool{"h6": true}
	next, _, err := p.some(0, 1, 2, 4, 5, 6).add(t.Context(), t, node, false, 1<<40, forever)
	if plan := next.plan(t); err != nil || strings.Contains(plan, "10.0.0.6: restart the kubelet") {
		t.Errorf("%v\n%s", err, plan)
	}
}

// TestPruneWithEmptyHosts: a host that comes back empty is brought back where the Clusterfile lists it, and leaves where it does not.
func TestPruneWithEmptyHosts(t *testing.T) {
	cases := []struct {
		name          string
		replaced      int
		listed        []int
		changes, left string
	}{
		{"a node that is listed", 3, []int{0, 1, 2, 3}, "delete node h4, delete node h4, drain h5, delete node h5", "h1:complete h2:complete h3:complete h4:complete"},
		{"a master that is listed", 2, []int{0, 1, 2, 3}, "remove member 3, delete node h3, delete node h3, drain h5, delete node h5", "h1:complete h2:complete h3:complete h4:complete"},
		{"a node that is not", 4, []int{0, 1, 2, 3}, "drain h5, delete node h5", "h1:complete h2:complete h3:complete h4:complete"},
		{"a master that is not", 2, []int{0, 1, 3, 4}, "drain h3, remove member 3, delete node h3", "h1:complete h2:complete h4:complete h5:complete"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := established(t, 3, 2)
			p.replaceDisk(c.replaced)
			var plans []string
			for _, dry := range []bool{true, false} {
				plan, _, err := p.prune(t.Context(), t, c.listed, dry, 1<<40, forever)
				if err != nil {
					t.Fatal(err)
				}
				plans = append(plans, plan)
			}
			if plans[0] != plans[1] {
				t.Errorf("planned\n%s\ndone\n%s", plans[0], plans[1])
			}
			if got := p.changes(); got != c.changes {
				t.Errorf("it changed %s, want %s", got, c.changes)
			}
			if got := p.phases(t); got != c.left {
				t.Errorf("in the state are %s, want %s", got, c.left)
			}
		})
	}
}

// TestPruneThatEtcdCannotTake: hosts that come back empty are brought back before others leave.
func TestPruneThatEtcdCannotTake(t *testing.T) {
	p := established(t, 3, 0)
	p.replaceDisk(1)
	leaving := leave.Hosts{Masters: []netip.Addr{numbered(3)[0]}, Pruned: true}
	_, _, err := p.leave(t.Context(), t, leaving, []int{0, 1}, 1<<40, forever)
	if want := "apply without --prune first brings back hosts that come back empty"; err == nil || !strings.Contains(err.Error(), want) || p.changes() != "" {
		t.Errorf("the error is %v, want %q; it changed %s", err, want, p.changes())
	}
}
