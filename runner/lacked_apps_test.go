package runner

import (
	"testing"

	"github.com/kubefile/kubefile/runner/phase"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/state"
)

// TestAppFinder: an application image that masters lack is opened once, by its name in the state and with its digest, unless the run brings it, or
// another version of it, to all hosts.
func TestAppFinder(t *testing.T) {
	app, other := appLayout(t, "redis"), appLayout(t, "mysql")
	given, err := openAll(t.Context(), []string{app}, fromForeign())
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(given)
	known := state.App{Dir: "redis", Image: app, Digest: given[0].Digest}
	for _, c := range []struct {
		name  string
		given []*source.Artifact
		app   state.App
		bring bool
		want  string
	}{
		{name: "by its name", app: known, bring: true},
		{name: "in the run", given: given, app: known},
		{name: "another version is in the run", given: given, app: state.App{Dir: "redis", Image: app, Digest: "sha256:1"}},
		{name: "another is in the run", given: given, app: state.App{Dir: "mysql", Image: other, Digest: "sha256:1"}, want: "mysql is another image by now"},
		{name: "not there", app: state.App{Dir: "redis", Image: "./none.tar", Digest: "sha256:1"}, want: "./none.tar: not found"},
	} {
		f := &appFinder{given: c.given, from: fromForeign()}
		defer f.Close()
		for range 2 {
			bring, err := f.find(t.Context(), c.app)
			if c.want != "" {
				wantError(t, err, c.want)
			} else if err != nil || bring != c.bring || (f.opened[c.app.Dir] != nil) != c.bring {
				t.Errorf("%s: got %v, %v, want %v", c.name, bring, err, c.bring)
			}
		}
	}
}

// TestNoAppsAreLacked: a run that found no masters without application images brings none.
func TestNoAppsAreLacked(t *testing.T) {
	done, err := (&appFinder{}).bring(t.Context(), Site{Clusterfile: newTestHost(t).Site.Clusterfile}, &phase.Cluster{}, Options{}, &runLog{}, nil)
	if err != nil || len(done) > 0 {
		t.Errorf("got %v, %v", done, err)
	}
}
