package phase

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/deliver"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/state"
)

// withApp are three masters with an application image, whose layers are called as it is. The masters have what is given; empty for nothing.
func withApp(t *testing.T, image string, has ...string) *park {
	t.Helper()
	p := established(t, 3, 0)
	p.App = "redis"
	p.arrives(image)
	next, _ := p.again(t, 1<<40, forever)
	next.App = "redis"
	if err := next.recall(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := (&saveState{next.Cluster}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, version := range has {
		if version == "" {
			continue
		}
		p.arrives(version)
		m := next.Members[i]
		p.machines[i].files[path.Join(p.ImageDir(), deliver.UnpackedMarker)] = layersKey(p.Artifact, m) + "\n"
	}
	p.App, p.Artifact = "", brought(t, 1, 0).Artifact
	p.forget()
	return p
}

// TestMastersThatLackApplications: a run finds out which masters lack application images of the cluster, or have another version, whatever the reason.
func TestMastersThatLackApplications(t *testing.T) {
	const first, second, third = "10.0.0.1", "10.0.0.2", "10.0.0.3"
	for _, c := range []struct {
		name    string
		has     []string
		prepare func(*park)
		find    error
		comes   bool
		want    string
		says    []string
	}{
		{name: "all have it", has: []string{"v2", "v2", "v2"}},
		{name: "one lacks it", has: []string{"v2", "", "v2"}, want: "redis " + second},
		{name: "one has another version", has: []string{"v1", "v2", "v2"}, want: "redis " + first},
		{name: "none has it", want: "redis " + first + " " + second + " " + third},
		{name: "one comes back empty", has: []string{"v2", "v2", "v2"}, prepare: func(p *park) { p.replaceDisk(2) }, want: "redis " + third},
		{name: "the run brings it", has: []string{"v2", "", "v2"}, comes: true},
		{name: "noted by none", has: []string{"v1", "", "v1"}, prepare: func(p *park) {
			p.noted(t, func(s *state.State) { s.Apps[0].Layers = nil })
		}, want: "redis " + second},
		{name: "not found", has: []string{"v2", "", "v2"}, find: errors.New("./app.tar: not found"),
			says: []string{"warning: the images of application redis are not on " + second + ",", "sealer-run redis.tar -m 10.0.0.1,10.0.0.2,10.0.0.3: ./app.tar: not found"}},
		{name: "not found, of another data root", has: []string{"v2", "", "v2"}, find: errors.New("x"), prepare: func(p *park) { p.DataRoot = "/srv" },
			says: []string{"-m 10.0.0.1,10.0.0.2,10.0.0.3 --data-root /srv: x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := withApp(t, "v2", c.has...)
			root := p.DataRoot
			if c.prepare != nil {
				c.prepare(p)
			}
			other := p.DataRoot
			p.DataRoot = root
			next, _ := p.again(t, 1<<40, forever)
			next.DataRoot = other
			next.FindApp = func(_ context.Context, app state.App) (bool, error) { return !c.comes, c.find }
			if err := (&remember{next.Cluster}).Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, f := range next.machines {
				// All files of a host are read by one command, and are known until another command runs there, as when a host comes back.
				if asked := slices.IndexFunc(f.argvs, func(line string) bool { return strings.Contains(line, "/redis/"+deliver.UnpackedMarker) }); asked >= 0 && c.prepare == nil {
					t.Errorf("%s was asked for one file: %s", f.host, f.argvs[asked])
				}
			}
			got := ""
			for _, app := range next.LackedApps {
				got += strings.Trim(fmt.Sprint(app.Dir, app.Masters), "[]")
			}
			if want := strings.Replace(c.want, " ", "[", 1); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			for _, text := range c.says {
				if !strings.Contains(next.out.String(), text) {
					t.Errorf("the run does not say %q:\n%s", text, next.out)
				}
			}
			if len(c.says) == 0 && strings.Contains(next.out.String(), "images of application") {
				t.Errorf("the run says\n%s", next.out)
			}
		})
	}
}

// TestStateOfLackedApplications: masters that get an application image which they lacked were saved by the run before, also in a dry run.
func TestStateOfLackedApplications(t *testing.T) {
	p := newPark(t, 2, 0).joined(1)
	p.Artifact, p.App, p.DryRun = artifact(t), "redis", true
	p.Joining = &execute.Joining{Masters: numbered(2), Complete: true}
	if err := (&saveState{p.Cluster}).Run(t.Context()); err != nil || len(p.Report.Changes()) > 0 {
		t.Errorf("got %v, and the plan\n%s", err, p.plan(t))
	}
}

// layersKey is what the marker of a host says of which layers its application image is.
func layersKey(a *source.Artifact, m *execute.Member) string {
	layers := slices.Clone(a.RootfsLayers)
	if m.IsMaster() {
		layers = append(layers, a.ImageLayers...)
	}
	return state.LayersKey(state.Digests(layers))
}
