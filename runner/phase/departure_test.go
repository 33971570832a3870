package phase

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/clean"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/health/healthtest"
	"github.com/kubefile/kubefile/runner/leave"
	"github.com/kubefile/kubefile/runner/plugin"
)

func numbered(numbers ...byte) (addresses []netip.Addr) {
	for _, n := range numbers {
		addresses = append(addresses, netip.AddrFrom4([4]byte{10, 0, 0, n}))
	}
	return addresses
}

func forever() {}

// TestLeave: what leaves is cleaned and is in nothing of the cluster any more, and what stays is changed no further.
func TestLeave(t *testing.T) {
	cases := []struct {
		name           string
		masters, nodes int
		leaving        leave.Hosts
		via            []int
		dead           []string
		changes        string // of the cluster
		left           string // in the state
	}{
		{"worker, found by its load balancer", 2, 2, leave.Hosts{Nodes: numbered(4)}, nil, nil, "drain h4, delete node h4", "h1:complete h2:complete h3:complete"},
		{"worker, through a master", 1, 1, leave.Hosts{Nodes: numbered(2)}, []int{0}, nil, "drain h2, delete node h2", "h1:complete"},
		{"two workers", 1, 3, leave.Hosts{Nodes: numbered(2, 4)}, []int{0}, nil, "drain, delete node", "h1:complete h3:complete"},
		{"worker without a drain", 1, 1, leave.Hosts{Nodes: numbered(2), SkipDrain: true}, nil, nil, "delete node h2", "h1:complete"},
		{"third master of three", 3, 1, leave.Hosts{Masters: numbered(3)}, nil, nil, "drain h3, remove member 3, delete node h3", "h1:complete h2:complete h4:complete"},
		{"first master of three", 3, 1, leave.Hosts{Masters: numbered(1)}, nil, nil, "drain h1, remove member 1, delete node h1", "h2:complete h3:complete h4:complete"},
		{"two masters of three", 3, 1, leave.Hosts{Masters: numbered(1, 2)}, nil, nil, "drain h1, drain h2, remove member 1, remove member 2, delete node h1, delete node h2", "h3:complete h4:complete"},
		{"lost worker", 1, 2, leave.Hosts{Nodes: numbered(3), Lost: true}, []int{0}, []string{"h3"}, "delete node h3", "h1:complete h2:complete"},
		{"lost first master", 3, 1, leave.Hosts{Masters: numbered(1), Lost: true}, []int{2}, []string{"h1"}, "remove member 1, delete node h1", "h2:complete h3:complete h4:complete"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := established(t, c.masters, c.nodes)
			for _, name := range c.dead {
				p.world.leaving.dead[name] = true
			}
			next, _, err := p.leave(t.Context(), t, c.leaving, c.via, 1<<40, forever)
			if err != nil {
				t.Fatalf("%v\n%s", err, next.out)
			}
			if got := p.changes(); got != c.changes && c.name != "two workers" {
				t.Errorf("changes of the cluster: got %s, want %s", got, c.changes)
			}
			if got := p.phases(t); got != c.left {
				t.Errorf("in the state are %s, want %s", got, c.left)
			}
			for _, f := range p.machines {
				gone := c.leaving.Has(f.host.Address)
				if cleaned := !f.has(p.Dir() + "/" + hostrecord.JournalFile); cleaned != (gone && !c.leaving.Lost) {
					t.Errorf("%s: cleaned is %v", f.host, cleaned)
				}
				if gone {
					continue
				}
				for _, l := range append(c.leaving.Masters, c.leaving.Nodes...) {
					if names := f.mentions(l.String()); len(names) > 0 {
						t.Errorf("%s: %s is in %v", f.host, l, names)
					}
				}
			}
			if len(c.leaving.Masters) > 0 && len(p.world.leaving.etcd) != c.masters-len(c.leaving.Masters) {
				t.Errorf("members of etcd are %v", p.world.leaving.etcd)
			}
		})
	}
}

// TestLeaveIsRefused: before any change, for all hosts at once.
func TestLeaveIsRefused(t *testing.T) {
	cases := []struct {
		name    string
		masters int
		leaving leave.Hosts
		via     []int
		prepare func(p *park)
		want    []string
	}{
		{"last master", 1, leave.Hosts{Masters: numbered(1)}, nil, nil, []string{"no master that stays", "delete --all"}},
		{"unknown host and master as a node", 2, leave.Hosts{Nodes: numbered(2, 3, 9)}, []int{0}, func(p *park) {
			p.machines = append(p.machines, &machine{t: p.machines[0].t, host: p.machines[0].host, files: map[string]string{}, units: map[string]bool{}, world: p.world})
			p.machines[3].host.Address = numbered(9)[0]
		}, []string{"10.0.0.9 is not a host of cluster default", "10.0.0.2 is a master of cluster default; to remove it, write -m 10.0.0.2"}},
		{"does not answer", 2, leave.Hosts{Nodes: numbered(3)}, []int{0}, func(p *park) { p.world.leaving.dead["h3"] = true }, []string{"10.0.0.3 does not answer", "add --lost"}},
		{"majority", 3, leave.Hosts{Masters: numbered(1)}, []int{1}, func(p *park) { p.world.leaving.dead["h3"] = true },
			[]string{"10.0.0.1 (h1): etcd would lose its majority: without h1", "1 of 2 members would be healthy", "h3 (https://10.0.0.3:2380)", "delete --lost"}},
		{"no master answers", 2, leave.Hosts{Nodes: numbered(3)}, nil, func(p *park) { p.world.leaving.dead["h1"], p.world.leaving.dead["h2"] = true, true },
			[]string{"no master that stays in cluster default was reached", "no route to host"}},
		{"no API answers", 1, leave.Hosts{Nodes: numbered(2)}, nil, func(p *park) { p.world.down = true }, []string{"no master that stays has an API that answers"}},
		{"lost and reachable", 1, leave.Hosts{Nodes: numbered(2), Lost: true}, []int{0}, nil, []string{"10.0.0.2 answers and is a host of this cluster", "leave out --lost"}},
		{"lost with a kubelet", 1, leave.Hosts{Nodes: numbered(2), Lost: true}, []int{0}, func(p *park) { p.world.leaving.dead["h2"], p.world.leaving.ready["h2"] = true, true },
			[]string{"its kubelet is alive", "renewed its lease"}},
		{"lost with an etcd", 3, leave.Hosts{Masters: numbered(3), Lost: true}, []int{0}, func(p *park) { p.machines[2].files[p.Dir()+"/"+hostrecord.RecordFile] = "" }, []string{"10.0.0.3 (h3): its etcd answers"}},
		{"another cluster's record", 1, leave.Hosts{Nodes: numbered(2)}, []int{0}, func(p *park) {
			p.machines[1].files[p.Dir()+"/"+hostrecord.RecordFile] = record
		}, []string{"10.0.0.2", "names a cluster with the ID \"" + testID}},
		{"another cluster's kubelet", 1, leave.Hosts{Nodes: numbered(2)}, []int{0}, func(p *park) { p.machines[1].files[execute.KubeletConfig] = authority(p.machines[0].t) },
			[]string{"10.0.0.2 is a node of another cluster"}},
		{"not prepared by us", 1, leave.Hosts{Nodes: numbered(2)}, []int{0}, func(p *park) { delete(p.machines[1].files, p.Dir()+"/"+hostrecord.JournalFile) },
			[]string{"sealer-run did not prepare it", "kubeadm reset"}},
		{"pods without a controller", 1, leave.Hosts{Nodes: numbered(2)}, nil, func(p *park) { p.world.leaving.pods["h2"] = "a\tbare\tRunning\t\t\n" },
			[]string{"10.0.0.2 (h2): pods without a controller would be lost: a/bare", "--skip-drain"}},
		{"a member of another host", 3, leave.Hosts{Masters: numbered(3)}, nil, func(p *park) { p.world.leaving.etcd[2].PeerURLs = []string{"https://10.0.0.9:2380"} },
			[]string{"found h3 (https://10.0.0.9:2380), expected h3 at 10.0.0.3"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := established(t, c.masters, 1)
			before := p.phases(t)
			if c.prepare != nil {
				c.prepare(p)
			}
			next, _, err := p.leave(t.Context(), t, c.leaving, c.via, 1<<40, forever)
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("the error is %v, want %q", err, want)
				}
			}
			if got := next.plan(t); got != "nothing to do\n" || p.changes() != "" || p.phases(t) != before {
				t.Errorf("it changed %s\n%s, and recorded %s", p.changes(), got, p.phases(t))
			}
		})
	}
}

// TestBlockedDrain names the pods and the budgets that keep them, and leaves the host in the cluster.
func TestBlockedDrain(t *testing.T) {
	p := established(t, 1, 1)
	p.world.leaving.blocked = "global timeout reached"
	p.world.leaving.pods["h2"] = "web\tfront-1\tRunning\tReplicaSet\t\nkube-system\tkube-proxy\tRunning\tDaemonSet\t\n"
	_, _, err := p.leave(t.Context(), t, leave.Hosts{Nodes: numbered(2)}, nil, 1<<40, forever)
	for _, want := range []string{"drain node h2", "global timeout reached", "pods that are left: web/front-1\n", "allow no eviction now: web/frontend", "--skip-drain", "kubectl uncordon h2"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %q", err, want)
		}
	}
	if got := p.phases(t); got != "h1:complete h2:leaving" || !p.machines[1].has(execute.KubeletConfig) {
		t.Errorf("recorded %s", got)
	}
}

// TestDrainWithoutDNS: a cluster whose DNS runs on no other node keeps its hosts. One without a DNS, or whose DNS runs, has nothing to wait for.
func TestDrainWithoutDNS(t *testing.T) {
	pending := healthtest.PodRow("kube-system", "coredns-1", "", "", "", "kube-dns", "False", " ")
	cases := []struct {
		name    string
		system  []string
		leaving leave.Hosts
		stays   bool
	}{
		{"no node takes it", []string{pending, pending}, leave.Hosts{Nodes: numbered(2)}, true},
		{"one of two", []string{pending, healthtest.PodRow("kube-system", "coredns-2", "h1", "10.244.0.2", "", "kube-dns", "True", " ")}, leave.Hosts{Nodes: numbered(2)}, false},
		{"none, and another pod that is not ready", []string{healthtest.PodRow("kube-system", "proxy", "h1", "", "kube-proxy", "", "False", " ")}, leave.Hosts{Nodes: numbered(2)}, false},
		{"without a drain", []string{pending}, leave.Hosts{Nodes: numbered(2), SkipDrain: true}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := established(t, 1, 1)
			p.world.leaving.system, p.world.leaving.detail = c.system, "0/2 nodes are available: 1 node(s) had untolerated taint(s)."
			c.leaving.DrainTimeout = time.Millisecond
			_, _, err := p.leave(t.Context(), t, c.leaving, nil, 1<<40, forever)
			if !c.stays {
				if err != nil {
					t.Error(err)
				}
				return
			}
			for _, want := range []string{"the cluster's DNS runs on no node that stays", "pod coredns-1 (Pending): 0/2 nodes are available", "--skip-drain", "kubectl uncordon h2"} {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("the error is %v, want %q", err, want)
				}
			}
			if got := p.phases(t); got != "h1:complete h2:leaving" || p.changes() != "drain h2" {
				t.Errorf("recorded %s, changed %s", got, p.changes())
			}
		})
	}
}

// TestDrainWithoutAnswer: an API that does not say where the DNS runs is no DNS without a place.
func TestDrainWithoutAnswer(t *testing.T) {
	p := established(t, 1, 1)
	p.world.leaving.mute = true
	_, _, err := p.leave(t.Context(), t, leave.Hosts{Nodes: numbered(2), DrainTimeout: time.Millisecond}, nil, 1<<40, forever)
	if err == nil || !strings.Contains(err.Error(), "looking where the cluster's DNS runs: ") || !strings.Contains(err.Error(), "request timed out") || strings.Contains(err.Error(), "taint") {
		t.Errorf("the error is %v", err)
	}
}

// TestLeaveWithPlugins: those that the hosts which leave have noted run there, and nowhere else.
func TestLeaveWithPlugins(t *testing.T) {
	for _, skip := range []bool{false, true} {
		p := established(t, 1, 2)
		p.SkipPlugins = skip
		noted := encode(clean.Instructions{Plugins: []plugin.Plugin{newPlugin(t, "before", "SHELL", "PreClean", "", "before"), newPlugin(t, "after", "SHELL", "PostClean", "", "after")}})
		for i, f := range p.machines {
			f.files[p.Members[i].Path(clean.InstructionsFile)] = noted
		}
		if _, _, err := p.leave(t.Context(), t, leave.Hosts{Nodes: numbered(2)}, nil, 1<<40, forever); err != nil {
			t.Fatal(err)
		}
		want := "10.0.0.2 before,10.0.0.2 after"
		if skip {
			want = ""
		}
		if got := strings.Join(p.ranScripts(), ","); got != want {
			t.Errorf("skipped %v: ran %q, want %q", skip, got, want)
		}
	}
}

// TestLostAndInstalledAgain: a machine at the address of a lost host that has nothing of the cluster is left alone.
func TestLostAndInstalledAgain(t *testing.T) {
	p := established(t, 1, 1)
	p.machines[1].files = map[string]string{execute.HostsFile: "127.0.0.1 localhost\n", "/srv/data": "of others"}
	p.world.elsewhere = map[string]string{"h2": "10.0.0.2"}
	if _, _, err := p.leave(t.Context(), t, leave.Hosts{Nodes: numbered(2), Lost: true}, []int{0}, 1<<40, forever); err != nil {
		t.Fatal(err)
	}
	if got := p.phases(t); got != "h1:complete" || len(p.machines[1].ran) > 0 || len(p.machines[1].files) != 2 {
		t.Errorf("in the state are %s; on the machine ran %q, and there are %v", got, p.machines[1].ran, p.machines[1].files)
	}
}

// TestTakenBack: an apply keeps a host whose removal was interrupted while it is whole, and later wants the removal to be completed.
func TestTakenBack(t *testing.T) {
	cases := []struct {
		name    string
		leaving leave.Hosts
		meet    func(w *world) // what the removal did before it was interrupted
		want    string         // in the error
		phases  string
	}{
		{"a node that was drained", leave.Hosts{Nodes: numbered(3)}, func(*world) {}, "", "h1:complete h2:complete h3:complete"},
		{"a node that was removed", leave.Hosts{Nodes: numbered(3)}, func(w *world) { w.gone = map[string]bool{"h3": true} },
			"run delete -n 10.0.0.3 again", "h1:complete h2:complete h3:leaving"},
		{"a master that was drained", leave.Hosts{Masters: numbered(2)}, func(*world) {}, "", "h1:complete h2:complete h3:complete"},
		{"a master without its member of etcd", leave.Hosts{Masters: numbered(2)}, func(w *world) { w.leaving.etcd = w.leaving.etcd[:1] },
			"run delete -m 10.0.0.2 again", "h1:complete h2:leaving h3:complete"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := established(t, 2, 1)
			p.world.leaving.blocked = "global timeout reached"
			if _, _, err := p.leave(t.Context(), t, c.leaving, []int{0}, 1<<40, forever); err == nil {
				t.Fatal("the drain was not interrupted")
			}
			c.meet(p.world)
			_, err := p.rerun(t)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q", err, c.want)
			}
			if got := p.phases(t); got != c.phases {
				t.Errorf("in the state are %s, want %s", got, c.phases)
			}
		})
	}
}

// TestEtcdTakesItsTime: etcd refuses a change of its members right after another one.
func TestEtcdTakesItsTime(t *testing.T) {
	p := established(t, 3, 0)
	p.world.leaving.busy = 1
	if _, _, err := p.leave(t.Context(), t, leave.Hosts{Masters: numbered(2)}, nil, 1<<40, forever); err != nil || len(p.world.leaving.etcd) != 2 {
		t.Errorf("members are %v, %v", p.world.leaving.etcd, err)
	}
}

// TestLeaveAsPlanned: a dry run says what a run does, and does nothing.
func TestLeaveAsPlanned(t *testing.T) {
	for name, leaving := range map[string]leave.Hosts{"worker": {Nodes: numbered(4)}, "masters": {Masters: numbered(1, 3)}} {
		t.Run(name, func(t *testing.T) {
			p := established(t, 3, 2)
			var plans []string
			for _, dry := range []bool{true, false} {
				p.Cluster.DryRun = dry
				next, _, err := p.leave(t.Context(), t, leaving, nil, 1<<40, forever)
				if err != nil {
					t.Fatal(err)
				}
				plans = append(plans, next.plan(t))
				if dry && p.changes() != "" {
					t.Errorf("a dry run changed %s", p.changes())
				}
			}
			if plans[0] != plans[1] {
				t.Errorf("planned\n%s\ndone\n%s", plans[0], plans[1])
			}
		})
	}
}

// TestLeaveKilledBeforeEveryCommand: the same command again reaches the end of an undisturbed run.
func TestLeaveKilledBeforeEveryCommand(t *testing.T) {
	for name, leaving := range map[string]leave.Hosts{"worker": {Nodes: numbered(4)}, "first master": {Masters: numbered(1)}} {
		t.Run(name, func(t *testing.T) {
			undisturbed := established(t, 3, 2)
			_, total, err := undisturbed.leave(t.Context(), t, leaving, []int{1}, 1<<40, forever)
			if err != nil {
				t.Fatal(err)
			}
			p := established(t, 3, 2)
			leave := func(ctx context.Context, limit int64, kill func()) error {
				_, _, err := p.leave(ctx, t, leaving, []int{1}, limit, kill)
				return err
			}
			p.killedBeforeEveryCommand(t, undisturbed, total, leave, func() error {
				err := leave(t.Context(), 1<<40, forever)
				over := p.phases(t) == undisturbed.phases(t) // only copies of the state were missing
				if err != nil && over && strings.Contains(err.Error(), "is not a host of cluster") {
					return nil
				}
				return err
			})
		})
	}
}
