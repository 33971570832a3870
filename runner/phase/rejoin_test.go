package phase

import (
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/execute"
)

// replan is the plan of the same command again.
func (p *park) replan(t *testing.T) (string, error) {
	t.Helper()
	next, _ := p.again(t, 1<<40, func() {})
	next.DryRun = true
	err := next.perform(t.Context())
	return next.plan(t), err
}

// A host that somebody took out of the cluster comes back: reset by hand or installed again it joins again, and a kubelet whose node was removed
// registers it. In each case the node is a new one, without what the plugins of those that join gave the old one. Markers do not decide.
func TestHostsThatWereTakenOut(t *testing.T) {
	reinstalled := func(p *park) {
		p.machines[2].files = map[string]string{execute.HostsFile: "127.0.0.1 localhost\n"}
		p.machines[2].units = map[string]bool{}
	}
	for _, c := range []struct {
		name            string
		take            func(p *park)
		joins, restarts int
	}{
		{"reset", func(p *park) { p.machines[2].remove("kubelet.conf") }, 1, 0},
		{"reset, and its node removed", func(p *park) { p.machines[2].remove("kubelet.conf"); p.world.gone = map[string]bool{"h3": true} }, 1, 0},
		{"its node removed", func(p *park) { p.world.gone = map[string]bool{"h3": true} }, 0, 1},
		{"its node removed, and its marker lost", func(p *park) {
			p.world.gone = map[string]bool{"h3": true}
			p.machines[2].remove(execute.JoinMarker)
		}, 0, 1},
		{"installed again", reinstalled, 1, 0},
		{"installed again, and its node removed", func(p *park) { reinstalled(p); p.world.gone = map[string]bool{"h3": true} }, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := brought(t, 1, 2)
			p.forget()
			c.take(p)
			plan, err := p.replan(t)
			if err != nil {
				t.Fatal(err)
			}
			p, err = p.rerun(t)
			if err != nil {
				t.Fatal(err)
			}
			f, m := p.machines[2], p.Members[2]
			if n := len(f.calls(m.Program("kubeadm") + " join")); n != c.joins {
				t.Errorf("it joined %d times, want %d", n, c.joins)
			}
			if n := len(f.calls("systemctl restart kubelet")); n != c.restarts || len(f.destroyed()) > 0 {
				t.Errorf("it ran %q", f.ran)
			}
			const again = `plugin "pre": run its script`
			ran := 0
			for _, a := range p.Report.Changes() {
				if a.Host == "10.0.0.2" && a.What == again {
					t.Error("the plugin ran on a host that was in the cluster all the time")
				}
				if a.Host == "10.0.0.3" && a.What == again {
					ran++
				}
			}
			if ran == 0 || strings.Count(plan, again) != ran {
				t.Errorf("the plugin ran %d times; the plan was\n%s", ran, plan)
			}
			if p, err = p.rerun(t); err != nil || strings.Contains(p.plan(t), again) {
				t.Errorf("the next run did %s, %v", p.plan(t), err)
			}
		})
	}
}

// A run that is killed after it noted that a host joins again, and before the plugins ran, is continued.
func TestJoiningAgainIsContinued(t *testing.T) {
	p := brought(t, 1, 1)
	p.forget()
	p.world.gone = map[string]bool{"h2": true}
	next, _ := p.again(t, 1<<40, func() {})
	for _, one := range []Phase{&remember{next.Cluster}, &adaptImage{next.Cluster}, next.joinNodes()} {
		if err := one.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	p, err := p.rerun(t)
	if err != nil || !strings.Contains(p.plan(t), `10.0.0.2: plugin "pre": run its script`) {
		t.Errorf("the next run did %s, %v", p.plan(t), err)
	}
}

// The configuration of kubeadm is on every master, whichever has it, and its way there is in the plan.
func TestConfigurationIsOnEveryMaster(t *testing.T) {
	for lost := range 3 {
		p := brought(t, 3, 0)
		p.forget()
		want := p.machines[lost].files[p.Members[0].Path(execute.InitConfig)]
		p.machines[lost].remove(execute.InitConfig)
		plan, err := p.replan(t)
		if err != nil {
			t.Fatal(err)
		}
		if p, err = p.rerun(t); err != nil {
			t.Fatal(err)
		}
		if got := p.machines[lost].files[p.Members[0].Path(execute.InitConfig)]; got == "" || got != want || !strings.Contains(plan, "write "+p.Members[0].Path(execute.InitConfig)) {
			t.Errorf("master %d has %q; the plan was\n%s", lost+1, got, plan)
		}
	}
}
