package phase

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/balancer"
	"github.com/kubefile/kubefile/runner/clean"
	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/command"
	"github.com/kubefile/kubefile/runner/deliver"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/fingerprint"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/registry"
	"github.com/kubefile/kubefile/runner/state"
	"github.com/kubefile/kubefile/runner/store"
)

// some are machines of a park, as a park of their own in the same world.
func (p *park) some(indexes ...int) *park {
	part := &park{Cluster: p.Cluster, world: p.world}
	for _, i := range indexes {
		part.machines = append(part.machines, p.machines[i])
	}
	return part
}

// growing are two masters and two nodes, of which a master and a node are a cluster. The others are to join it.
func growing(t *testing.T) (p *park, joining *execute.Joining) {
	t.Helper()
	p = untouched(t, artifact(t), authority(t), 2, 2)
	first, _ := p.some(0, 2).again(t, 1<<40, forever)
	if err := first.perform(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.forget()
	return p, &execute.Joining{Masters: numbered(2), Nodes: numbered(4)}
}

// add makes hosts join, through a run that knows nothing.
func (p *park) add(ctx context.Context, t *testing.T, joining *execute.Joining, dry bool, limit int64, kill func()) (*park, int64, error) {
	t.Helper()
	next, n := p.again(t, limit, kill)
	next.Joining, next.DryRun = joining, dry
	err := next.perform(ctx)
	return next, n.Load(), err
}

// TestAddition: hosts that join become what they would have been from the beginning. Of the others changes what has the names of hosts, and
// nothing else, even what somebody changed there.
func TestAddition(t *testing.T) {
	whole, _ := untouched(t, artifact(t), authority(t), 2, 2).again(t, 1<<40, forever)
	if err := whole.perform(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, joining := growing(t)
	lost := []string{whole.Members[0].Path(command.ScriptsMarker), whole.Members[0].Path(deliver.FilesMarker), rootConfig, whole.Members[0].Path(clean.InstructionsFile)}
	before := map[int]map[string]string{}
	for _, i := range []int{0, 2} {
		for _, name := range lost {
			delete(p.machines[i].files, name)
		}
		before[i] = maps.Clone(p.machines[i].files)
	}
	next, _, err := p.add(t.Context(), t, joining, false, 1<<40, forever)
	if err != nil {
		t.Fatalf("%v\n%s", err, next.out)
	}
	if got := p.phases(t); got != "h1:complete h2:complete h3:complete h4:complete" {
		t.Errorf("in the state are %s", got)
	}
	different := map[string]int{}
	for _, i := range []int{1, 3} {
		compare(p.machines[i], whole.machines[i], different)
	}
	delete(different, fmt.Sprintf("10.0.0.2: %s differs", whole.Members[0].Path(execute.InitConfig))) // the names of the first certificate are in it
	for what := range different {
		t.Error(what)
	}
	for i, files := range before {
		f, m := p.machines[i], whole.Members[i]
		named := []string{execute.HostsFile, m.Path(registry.ConfigFile), m.Path(balancer.ConfigFile), m.Path(store.File), m.Path(hostrecord.JournalFile)}
		for name, content := range f.files {
			if content != files[name] && !slices.Contains(named, name) && !strings.HasPrefix(name, registry.ContainerdDir) {
				t.Errorf("%s: %s was changed", f.host, name)
			}
			if i == 2 && slices.Contains(named[:3], name) && content != whole.machines[i].files[name] {
				t.Errorf("%s: %s is not that of the whole cluster:\n%s", f.host, name, content)
			}
		}
		for _, line := range f.ran {
			if strings.Contains(line, "scripts/") || strings.Contains(line, "bash") || strings.Contains(line, "first.yaml") || strings.Contains(line, " join ") {
				t.Errorf("%s: ran %s", f.host, line)
			}
		}
	}
}

// TestAdditionAsPlanned: a dry run says what a run does, and does nothing.
func TestAdditionAsPlanned(t *testing.T) {
	p, joining := growing(t)
	var plans []string
	for _, dry := range []bool{true, false} {
		next, _, err := p.add(t.Context(), t, joining, dry, 1<<40, forever)
		if err != nil {
			t.Fatal(err)
		}
		// The masters of these tests have their label as soon as they are nodes.
		plans = append(plans, strings.Replace(next.plan(t), "  10.0.0.2: mark the node with node-role.kubernetes.io/master=\n", "", 1))
		if dry && (p.phases(t) != "h1:complete h3:complete" || p.machines[3].has(execute.KubeletConfig)) {
			t.Errorf("a dry run changed the cluster to %s", p.phases(t))
		}
	}
	if plans[0] != plans[1] {
		t.Errorf("planned\n%s\ndone\n%s", plans[0], plans[1])
	}
}

// TestAdditionKilledBeforeEveryCommand: the same command again reaches the end of an undisturbed run.
func TestAdditionKilledBeforeEveryCommand(t *testing.T) {
	undisturbed, joining := growing(t)
	_, total, err := undisturbed.add(t.Context(), t, joining, false, 1<<40, forever)
	if err != nil {
		t.Fatal(err)
	}
	p, joining := growing(t)
	p.killedBeforeEveryCommand(t, undisturbed, total, func(ctx context.Context, limit int64, kill func()) error {
		_, _, err := p.add(ctx, t, joining, false, limit, kill)
		return err
	}, func() error {
		s, err := state.Parse(p.world.secret)
		if err != nil {
			t.Fatal(err)
		}
		missing, err := Recalled{State: s}.Missing(*joining)
		if err != nil {
			t.Fatal(err)
		}
		if len(missing.Addresses()) > 0 {
			_, _, err = p.add(t.Context(), t, &missing, false, 1<<40, forever)
		}
		return err
	})
}

// TestAdditionWithApplications: hosts are complete in the state once they have the last image, with the labels that they were given.
func TestAdditionWithApplications(t *testing.T) {
	p, joining := growing(t)
	joining.More = true
	if _, _, err := p.add(t.Context(), t, joining, false, 1<<40, forever); err != nil {
		t.Fatal(err)
	}
	if got := p.phases(t); got != "h1:complete h2:joined h3:complete h4:joined" {
		t.Errorf("before the last image, in the state are %s", got)
	}
	last, _ := p.again(t, 1<<40, forever)
	last.App, last.Joining = "redis", &execute.Joining{Masters: joining.Masters, Nodes: joining.Nodes}
	if err := last.recall(t.Context()); err != nil {
		t.Fatal(err)
	}
	last.Members[3].Site.Labels = map[string]string{"disk": "fast"}
	if err := (&saveState{last.Cluster}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := p.phases(t); got != "h1:complete h2:complete h3:complete h4:complete" {
		t.Errorf("after the last image, in the state are %s", got)
	}
	if h := last.State.Host(numbered(4)[0]); h.Labels["disk"] != "fast" || len(last.State.Apps) > 0 {
		t.Errorf("in the state are %+v, and the applications %v", h, last.State.Apps)
	}
}

// TestPhasesOfAddition: a cluster's commands do not run for hosts that join, and all else happens as in a run.
func TestPhasesOfAddition(t *testing.T) {
	c := newPark(t, 1, 1).Cluster
	titles := func(phases []Phase) (all []string) {
		for _, one := range phases {
			all = append(all, one.Title())
		}
		return all
	}
	without := func(all []string, left ...string) []string {
		return slices.DeleteFunc(all, func(title string) bool { return slices.Contains(left, title) })
	}
	images := []string{c.runCommands(command.Network).Title(), c.runCommands(command.Guests).Title()}
	check := (c.checkJoining()).Title()
	if got, want := without(titles(Addition(c)), check), without(titles(Bringup(c)), images...); !slices.Equal(got, want) {
		t.Errorf("of the cluster's image: got %q, want %q", got, want)
	}
	if got, want := titles(AppAddition(c)), without(titles(Installation(c)), images...); !slices.Equal(got, want) {
		t.Errorf("of an application: got %q, want %q", got, want)
	}
}

// TestMissing: what is in the cluster already is left out, and what cannot be added is refused.
func TestMissing(t *testing.T) {
	s := state.New("default")
	for i, phase := range []state.Phase{state.Complete, state.Joined, state.Joining, state.Leaving, state.Lost} {
		s.Put(state.Host{Address: numbered(byte(i + 1))[0], Name: fmt.Sprintf("h%d", i+1), Role: "node", Phase: phase})
	}
	cases := []struct {
		name    string
		joining execute.Joining
		missing []netip.Addr
		want    string
	}{
		{"new", execute.Joining{Masters: numbered(8), Nodes: numbered(9)}, numbered(8, 9), ""},
		{"complete", execute.Joining{Nodes: numbered(1)}, nil, ""},
		{"interrupted", execute.Joining{Nodes: numbered(1, 2, 3)}, numbered(2, 3), ""},
		{"interrupted, now as a master", execute.Joining{Masters: numbered(3)}, numbered(3), ""},
		{"another role", execute.Joining{Masters: numbered(1, 2)}, nil, "10.0.0.2 is already a node in this cluster and cannot be added as a master"},
		{"leaving", execute.Joining{Nodes: numbered(4, 5)}, nil, "run delete --lost -n 10.0.0.5 again"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			missing, err := Recalled{State: s}.Missing(c.joining)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q", err, c.want)
			}
			if err == nil && !slices.Equal(missing.Addresses(), c.missing) {
				t.Errorf("missing are %v, want %v", missing.Addresses(), c.missing)
			}
		})
	}
}

// TestUnlikeTheOthers: hosts that would not be like the others are refused, with what is missing.
func TestUnlikeTheOthers(t *testing.T) {
	var sites []*clusterfile.Clusterfile
	for range 2 {
		sites = append(sites, bareSite())
	}
	made, bare := sites[0], sites[1]
	made.Cluster.Env, made.Cluster.Aliases = environment.Set{"PASSWORD": {"s3cret"}}, []clusterfile.Alias{{Address: numbered(9)[0], Names: []string{"nas"}}}
	cases := []struct {
		name     string
		was, now *clusterfile.Clusterfile
		byFile   bool
		registry registry.Settings
		old      bool
		want     string // in the error
		warning  string
	}{
		{name: "plain", was: bare, now: bare},
		{name: "same Clusterfile", was: made, now: made, byFile: true},
		{name: "without it", was: made, now: bare,
			want: "made with other environment variables (spec.env, --env: \"PASSWORD\"), host aliases (spec.hostAliases: \"10.0.0.9\"), and the state does not keep these; give the Clusterfile"},
		{name: "more than the cluster has", was: bare, now: &clusterfile.Clusterfile{Cluster: &clusterfile.Cluster{Env: made.Cluster.Env}}, want: "made with other environment variables"},
		{name: "changed environment", was: bare, now: &clusterfile.Clusterfile{Cluster: &clusterfile.Cluster{Env: made.Cluster.Env}}, byFile: true,
			warning: "different environment variables (spec.env, --env: \"PASSWORD\"); only the hosts that join"},
		{name: "changed aliases", was: bare, now: made, byFile: true, want: "different host aliases (spec.hostAliases: \"10.0.0.9\"), and these concern all hosts; apply the Clusterfile first"},
		{name: "changed registry", was: bare, now: bare, byFile: true, registry: registry.Settings{Port: 5001}, want: "different registry settings (spec.registry)"},
		{name: "registry by its default", was: bare, now: bare, registry: registry.Settings{Domain: "sea.hub", Port: 5000}},
		{name: "an earlier version", was: bare, now: bare, old: true, want: "an earlier version wrote the state of cluster default"},
		{name: "an earlier version, with a Clusterfile", was: bare, now: made, old: true, byFile: true},
		{name: "hidden", was: bare, now: &clusterfile.Clusterfile{Cluster: bare.Cluster, Kubeadm: kubeadm.Documents{kubeadm.JoinKind: {"nodeRegistration": map[string]any{
			"kubeletExtraArgs": []any{map[string]any{"name": "token", "value": "hidden:00000000"}}}}}},
			want: "does not keep the values of JoinConfiguration.nodeRegistration.kubeletExtraArgs[token]"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := state.New("default")
			s.Wanted = &state.Wanted{Site: fingerprint.Of(s.ID, c.was, nil, registry.Settings{})}
			if c.old {
				s.Wanted.Site = nil
			}
			joining := &Cluster{Session: execute.Session{Name: "default", Joining: &execute.Joining{ByFile: c.byFile}}, Site: c.now, Registry: c.registry}
			warning, err := joining.checkJoining().Unlike(s)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q", err, c.want)
			}
			if (warning == "") != (c.warning == "") || !strings.Contains(warning, c.warning) {
				t.Errorf("the warning is %q, want %q", warning, c.warning)
			}
		})
	}
}

// TestCheckJoining: what another run changed since the state was read stops the run, and hosts that are no nodes now are left alone.
func TestCheckJoining(t *testing.T) {
	p, joining := growing(t)
	other := func(change func(*state.State)) {
		s, err := state.Parse(p.world.secret)
		if err != nil {
			t.Fatal(err)
		}
		change(s)
		data, err := s.Next(state.Fingerprint(p.world.secret))
		if err != nil {
			t.Fatal(err)
		}
		p.world.secret = data
		p.machines[0].files[p.Dir()+"/"+store.File] = string(data)
	}
	other(func(s *state.State) { s.Remove(numbered(3)[0]) })
	p.machines[2].files = map[string]string{execute.HostsFile: "127.0.0.1 localhost\n"}
	next, _, err := p.add(t.Context(), t, joining, false, 1<<40, forever)
	if err != nil || !strings.Contains(next.out.String(), "10.0.0.3: warning: not a node of the cluster now") {
		t.Errorf("%v\n%s", err, next.out)
	}
	if p.machines[2].has(execute.KubeletConfig) || p.machines[2].has(wire.Path) || p.phases(t) != "h1:complete h2:complete h4:complete" {
		t.Errorf("a host that left meanwhile has %v; in the state are %s", p.machines[2].files, p.phases(t))
	}
	other(func(s *state.State) { s.Remove(numbered(4)[0]); s.Image, s.Digest = "other:v2", "sha256:0" })
	if _, _, err := p.some(0, 1, 3).add(t.Context(), t, &execute.Joining{Nodes: numbered(4)}, false, 1<<40, forever); err == nil || !strings.Contains(err.Error(), "to other:v2 (sha256:0)") {
		t.Errorf("with another image: %v", err)
	}
	delete(p.machines[0].files, execute.AdminConfig)
	p.machines[1].files = map[string]string{}
	if _, _, err := p.some(0, 3).add(t.Context(), t, &execute.Joining{Nodes: numbered(4)}, false, 1<<40, forever); err == nil || !strings.Contains(err.Error(), "10.0.0.1 has no control plane of cluster default") {
		t.Errorf("without a control plane: %v", err)
	}
}
