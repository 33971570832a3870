package phase

import (
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/balancer"
	"github.com/kubefile/kubefile/runner/leave"
	"github.com/kubefile/kubefile/runner/registry"
	"github.com/kubefile/kubefile/runner/state"
	"github.com/kubefile/kubefile/runner/store"
)

// TestRestAsIfNeverThere: after masters left, another run of the cluster's image finds nothing to do on the hosts that stay.
func TestRestAsIfNeverThere(t *testing.T) {
	p := established(t, 2, 2)
	if _, _, err := p.leave(t.Context(), t, leave.Hosts{Masters: numbered(1), Nodes: numbered(4)}, nil, 1<<40, forever); err != nil {
		t.Fatal(err)
	}
	p.machines = p.machines[1:3]
	for _, f := range p.machines {
		f.files[p.Dir()+"/"+hostrecord.JournalFile] = "x" // as the fake of an apply writes it
	}
	again, err := p.rerun(t)
	if err != nil {
		t.Fatal(err)
	}
	if plan := again.plan(t); plan != "nothing to do\n" {
		t.Errorf("it did\n%s", plan)
	}
}

// TestRestOfOthers: files that are not as we write them stay, and the person is told.
func TestRestOfOthers(t *testing.T) {
	p := established(t, 2, 1)
	node := p.machines[2]
	mine := map[string]string{
		p.Dir() + "/" + registry.ConfigFile:            `{"version": 1, "listen": [{"address": "127.0.0.1:5000"}], "seeds": ["10.0.0.1:5000"], "new": true}`,
		registry.ContainerdDir + "/harbor/hosts.toml":  "server = \"https://10.0.0.1:5000\"\n",
		registry.ContainerdDir + "/quay.io/hosts.toml": "# changed by hand\n",
		p.Dir() + "/" + balancer.ConfigFile + ".old":   `{"backends":["10.0.0.1:6443"]}`,
	}
	for name, content := range mine {
		node.files[name] = content
	}
	next, _, err := p.leave(t.Context(), t, leave.Hosts{Masters: numbered(1)}, nil, 1<<40, forever)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range mine {
		if got := node.get(name); got != content {
			t.Errorf("%s became %s", name, got)
		}
	}
	if want := "10.0.0.3: warning: registry.json is not as this program writes it"; !strings.Contains(next.out.String(), want) {
		t.Errorf("it said %s\nwant %s", next.out, want)
	}
	if got := node.get(p.Dir() + "/" + balancer.ConfigFile); strings.Contains(got, "10.0.0.1:") {
		t.Errorf("the load balancer has %s", got)
	}
}

// TestRestWithoutAnAnswer: a host that stays and is away does not stop the removal; it is named.
func TestRestWithoutAnAnswer(t *testing.T) {
	p := established(t, 1, 2)
	p.world.leaving.dead["h3"] = true
	next, _, err := p.leave(t.Context(), t, leave.Hosts{Nodes: numbered(2)}, []int{0}, 1<<40, forever)
	if err != nil {
		t.Fatal(err)
	}
	if want := "10.0.0.3: warning: not reached, and still knows the hosts that leave; the next apply changes that (no route to host)"; !strings.Contains(next.out.String(), want) {
		t.Errorf("it said %s\nwant %s", next.out, want)
	}
	if got := p.phases(t); got != "h1:complete h3:complete" {
		t.Errorf("in the state are %s", got)
	}
}

// TestCleanedHostNamesNoMaster: what is left of an interrupted removal is resumed through a master.
func TestCleanedHostNamesNoMaster(t *testing.T) {
	p := established(t, 2, 1)
	s, err := state.Parse(p.world.secret)
	if err != nil {
		t.Fatal(err)
	}
	s.Host(p.machines[2].host.Address).Phase = state.Leaving
	if p.world.secret, err = s.Encode(); err != nil {
		t.Fatal(err)
	}
	for _, f := range p.machines[:2] {
		f.files[p.Dir()+"/"+store.File] = string(p.world.secret)
	}
	p.world.gone = map[string]bool{"h3": true}
	p.machines[2].undo()
	if _, _, err := p.leave(t.Context(), t, leave.Hosts{Nodes: numbered(3)}, nil, 1<<40, forever); err == nil || !strings.Contains(err.Error(), "name one with --via") {
		t.Errorf("without --via: %v", err)
	}
	if _, _, err := p.leave(t.Context(), t, leave.Hosts{Nodes: numbered(3)}, []int{1}, 1<<40, forever); err != nil || p.phases(t) != "h1:complete h2:complete" {
		t.Errorf("with --via: %v, %s", err, p.phases(t))
	}
}

// TestMastersOfHost: a host's files may be anything.
func TestMastersOfHost(t *testing.T) {
	p := newPark(t, 1, 1)
	f, m := p.machines[1], p.Members[1]
	for _, tt := range []struct{ balancer, state, want string }{
		{"", "", ""}, {"{", "{", ""}, {`{"listen":["127.0.0.1:6443"],"backends":["10.0.0.1:6443","[fd00::1]:6443"]}`, "", "10.0.0.1 fd00::1"},
		{"", `{"version":1,"cluster":"default","hosts":[{"address":"10.0.0.7","role":"master"},{"address":"10.0.0.8","role":"node"}]}`, "10.0.0.7"},
		{`{"version":99,"listen":["127.0.0.1:6443"],"backends":["10.0.0.1:6443"]}`, "", ""},
	} {
		f.files[m.Path(balancer.ConfigFile)], f.files[m.Path(store.File)] = tt.balancer, tt.state
		addresses, err := leave.MastersOf(t.Context(), m)
		var got []string
		for _, address := range addresses {
			got = append(got, address.String())
		}
		if err != nil || strings.Join(got, " ") != tt.want {
			t.Errorf("%s, %s: got %v, %v, want %s", tt.balancer, tt.state, got, err, tt.want)
		}
	}
}
