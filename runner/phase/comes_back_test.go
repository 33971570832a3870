package phase

import (
	"context"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/command"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kube"
	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/store"
)

// replaceDisk makes a machine one that was installed again. What the cluster has of it stays, and is dead.
func (p *park) replaceDisk(i int) {
	f, w := p.machines[i], p.world
	if w.elsewhere == nil {
		w.elsewhere, w.leaving.deadMembers, w.unmarked = map[string]string{}, map[uint64]bool{}, map[*machine]bool{}
	}
	w.unmarked[f] = f.host.Role == host.RoleMaster
	w.elsewhere[f.node()] = f.host.String()
	if at := w.leaving.memberOf(f); at >= 0 {
		w.leaving.deadMembers[w.leaving.etcd[at].ID] = true
	}
	f.undo()
}

// whole fails unless all machines are in the cluster, and nothing is of hosts that came back empty.
func (p *park) whole(t *testing.T) {
	t.Helper()
	w := p.world
	if got := strings.Count(p.phases(t), ":complete"); got != len(p.machines) || strings.Contains(p.phases(t), "joining") {
		t.Errorf("in the state are %s", p.phases(t))
	}
	if len(w.elsewhere) > 0 {
		t.Errorf("left are the nodes %v", w.elsewhere)
	}
	masters := 0
	for _, f := range p.machines {
		if !f.has(execute.KubeletConfig) {
			t.Errorf("%s has not joined", f.host)
		}
		if f.host.Role != host.RoleMaster {
			continue
		}
		masters++
		if at := w.leaving.memberOf(f); at < 0 || !w.leaving.answers(w.leaving.etcd[at]) || w.leaving.etcd[at].Name != f.node() {
			t.Errorf("%s has no member of etcd that answers: %v", f.host, w.leaving.etcd)
		}
	}
	if len(w.leaving.etcd) != masters {
		t.Errorf("members of etcd are %v", w.leaving.etcd)
	}
}

// TestHostComesBackEmpty: the same command again brings back a host that was installed again, as a new node.
func TestHostComesBackEmpty(t *testing.T) {
	cases := []struct {
		name           string
		masters, nodes int
		replaced       []int
		named          string // the name of the first of them from now on
		changes        string
	}{
		{"third master", 3, 1, []int{2}, "", "remove member 3, delete node h3"},
		{"first master", 3, 1, []int{0}, "", "remove member 1, delete node h1"},
		{"worker", 1, 2, []int{2}, "", "delete node h3"},
		{"worker with another name", 1, 2, []int{1}, "other", "delete node h2"},
		{"master with another name", 3, 0, []int{1}, "other", "remove member 2, delete node h2"},
		{"two masters of five", 5, 0, []int{1, 4}, "", "remove member 2, remove member 5, delete node h2, delete node h5"},
		{"master and worker", 3, 1, []int{0, 3}, "", "remove member 1, delete node h1, delete node h4"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := established(t, c.masters, c.nodes)
			for _, i := range c.replaced {
				p.replaceDisk(i)
			}
			p.machines[c.replaced[0]].named = c.named
			p.Cluster.DryRun = true
			planned, err := p.rerun(t)
			if err != nil || p.changes() != "" {
				t.Fatalf("a dry run changed %s, %v", p.changes(), err)
			}
			p.Cluster.DryRun = false
			next, err := p.rerun(t)
			if err != nil {
				t.Fatalf("%v\n%s", err, next.out)
			}
			if done := next.plan(t); done != planned.plan(t) {
				t.Errorf("planned\n%s\ndone\n%s", planned.plan(t), done)
			}
			ordered := strings.Split(p.changes(), ", ")
			for _, want := range strings.Split(c.changes, ", ") {
				if !strings.Contains(p.changes(), want) {
					t.Errorf("changes of the cluster are %q, want %q", ordered, want)
				}
			}
			p.whole(t)
			for _, i := range c.replaced {
				m := next.Members[i]
				if got := p.machines[i].get(m.Path(command.Marker(plugin.PostJoin, next.Site.Plugins[0]))); got != execute.Finished+"\n" {
					t.Errorf("%s: the plugin of PostJoin is %q", m, got)
				}
			}
			if !strings.Contains(next.out.String(), "comes back empty, and joins again in place of ") {
				t.Errorf("it said\n%s", next.out)
			}
			p.forget()
			if last, err := p.rerun(t); err != nil || last.plan(t) != "nothing to do\n" {
				t.Errorf("run again, it did %s, %v", last.plan(t), err)
			}
		})
	}
}

// TestComesBackIsRefused: before any change.
func TestComesBackIsRefused(t *testing.T) {
	cases := []struct {
		name     string
		masters  int
		replaced []int
		prepare  func(p *park)
		want     []string
	}{
		{"its member answers", 3, []int{2}, func(p *park) { p.world.leaving.deadMembers = nil },
			[]string{"10.0.0.3: nothing of the cluster is on this host, but member h3 (https://10.0.0.3:2380) of etcd", "answers"}},
		{"its kubelet is alive", 3, []int{2}, func(p *park) { p.world.leaving.ready["h3"] = true }, []string{"10.0.0.3", "the kubelet of its node h3 is alive", "switch one of them off"}},
		{"the kubelet of a worker is alive", 1, []int{1}, func(p *park) { p.world.leaving.ready["h2"] = true }, []string{"10.0.0.2", "the kubelet of its node h2 is alive"}},
		{"majority", 5, []int{1, 2}, func(p *park) {
			p.world.leaving.deadMembers[1] = false
			p.world.leaving.dead["h5"] = true
			p.world.leaving.minority = true
		},
			[]string{"10.0.0.2 comes back empty, but its old member cannot be removed: etcd would lose its majority", "h5 (https://10.0.0.5:2380)"}},
		{"a name that another node has", 1, []int{1}, func(p *park) { p.machines[1].named = "h9"; p.world.elsewhere["h9"] = "10.0.0.9" },
			[]string{"10.0.0.2 is named h9, and the cluster has a node h9 at 10.0.0.9"}},
		{"another cluster", 3, []int{2}, func(p *park) { p.machines[2].files[execute.KubeletConfig] = authority(p.machines[0].t) }, []string{"10.0.0.3 is a node of another cluster"}},
		{"another cluster's record", 3, []int{2}, func(p *park) {
			p.machines[2].files[p.Dir()+"/"+hostrecord.JournalFile], p.machines[2].files[p.Dir()+"/"+hostrecord.RecordFile] = "x", record
		}, []string{`belongs to another cluster (name "default", ID "` + testID}},
		{"another master is dead", 5, []int{1}, func(p *park) {
			p.world.leaving.dead["h5"] = true
			p.machines = p.machines[:4]
		}, []string{"member h5 (https://10.0.0.5:2380) of etcd does not answer, so no master can join", "sealer-run delete --lost -m 10.0.0.5 --via 10.0.0.1"}},
		{"the etcd of a master that was named is dead", 5, []int{1}, func(p *park) { p.world.leaving.dead["h5"] = true },
			[]string{"member h5 (https://10.0.0.5:2380) of etcd does not answer, so no master can join", "journalctl -u kubelet -n 50 on 10.0.0.5"}},
		{"a member that the state does not know", 3, []int{2}, func(p *park) {
			p.world.secret = []byte(strings.ReplaceAll(string(p.world.secret), "10.0.0.3", "10.0.0.99"))
			p.world.secret = []byte(strings.ReplaceAll(string(p.world.secret), `"h3"`, `"h99"`))
			for i := range 2 {
				p.machines[i].files[p.Dir()+"/"+store.File] = string(p.world.secret)
			}
		}, []string{"10.0.0.3: etcd has a member h3 (https://10.0.0.3:2380), and the cluster's state does not have this host", "sealer-run delete --lost -m 10.0.0.3 --via 10.0.0.1"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := established(t, c.masters, 1)
			for _, i := range c.replaced {
				p.replaceDisk(i)
			}
			before := p.phases(t)
			c.prepare(p)
			next, err := p.rerun(t)
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("the error is %v, want %q", err, want)
				}
			}
			if got := next.plan(t); got != "nothing to do\n" || p.changes() != "" || p.phases(t) != before && !strings.Contains(c.name, "state") {
				t.Errorf("it changed %s\n%s, and recorded %s", p.changes(), got, p.phases(t))
			}
		})
	}
}

// TestComesBackKilledBeforeEveryCommand: the same command again reaches the end of an undisturbed run.
func TestComesBackKilledBeforeEveryCommand(t *testing.T) {
	for name, c := range map[string]struct {
		masters, nodes int
		replaced       []int
		named          string
	}{"third master": {3, 0, []int{2}, ""}, "first master with another name": {3, 0, []int{0}, "other"}, "workers": {1, 2, []int{1, 2}, "other"}} {
		t.Run(name, func(t *testing.T) {
			replaced := func() *park {
				p := established(t, c.masters, c.nodes)
				for _, i := range c.replaced {
					p.replaceDisk(i)
				}
				p.machines[c.replaced[0]].named = c.named
				return p
			}
			undisturbed := replaced()
			next, n := undisturbed.again(t, 1<<40, forever)
			if err := next.perform(t.Context()); err != nil {
				t.Fatal(err)
			}
			different := map[string]int{}
			p := replaced()
			restore := p.keep()
			total := n.Load()
			for limit := range total {
				restore()
				ctx, cancel := context.WithCancelCause(t.Context())
				next, _ := p.again(t, limit, func() { cancel(errKilled) })
				if err := next.perform(ctx); err == nil {
					t.Fatalf("before command %d: not killed", limit)
				}
				if _, err := p.rerun(t); err != nil {
					different["the second run fails: "+err.Error()]++
					continue
				}
				p.whole(t)
				for i, f := range p.machines {
					compare(f, undisturbed.machines[i], different)
				}
			}
			for what, times := range different {
				t.Errorf("%d of %d times: %s", times, total, what)
			}
		})
	}
}

// TestMemberThatAnswersAgain: what was dead when the run looked is looked at again before it is removed.
func TestMemberThatAnswersAgain(t *testing.T) {
	p := established(t, 3, 0)
	next, _ := p.again(t, 1<<40, forever)
	err := next.membership().RemoveDead(t.Context(), kube.Member{ID: 3, Name: "h3"})
	if err == nil || !strings.Contains(err.Error(), "it answers by now") || len(p.world.leaving.etcd) != 3 {
		t.Errorf("the error is %v, and the members are %v", err, p.world.leaving.etcd)
	}
	if err := next.membership().RemoveDead(t.Context(), kube.Member{ID: 9}); err != nil {
		t.Errorf("a member that is not there any more: %v", err)
	}
}
