package runner

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/phase"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/state"
)

// appFinder opens the application images that masters of a run lack.
type appFinder struct {
	given  []*source.Artifact // which the run brings to all hosts
	from   source.Options
	opened map[string]*source.Artifact // by directory
}

// find reports whether an application image has to be brought to masters that lack it, and opens it by its name in the state.
func (f *appFinder) find(ctx context.Context, app state.App) (bool, error) {
	comes := func(a *source.Artifact) bool {
		return a.Description.Kind == imagespec.KindApp && appDir(a.Name) == app.Dir
	}
	if slices.ContainsFunc(f.given, comes) {
		return false, nil
	}
	if f.opened == nil {
		f.opened = map[string]*source.Artifact{}
	}
	if f.opened[app.Dir] != nil {
		return true, nil
	}
	a, err := wantedImageOf(app).byName(ctx, f.from)
	if err != nil {
		return false, err
	}
	f.opened[app.Dir] = a
	return true, nil
}

// Close closes the images that were opened.
func (f *appFinder) Close() {
	for _, a := range f.opened {
		a.Close()
	}
}

// bring brings the application images to the masters that lack them, after a run of the cluster's image.
func (f *appFinder) bring(ctx context.Context, site Site, before *phase.Cluster, opts Options, log *runLog, out io.Writer) (done []*phase.Cluster, err error) {
	site.Clusterfile = forOthers(site.Clusterfile)
	for _, app := range before.LackedApps {
		c, err := site.cluster()
		if err != nil {
			return done, err
		}
		c.Artifact, c.App, c.Next = f.opened[app.Dir], app.Dir, before.Next
		c.Joining = &execute.Joining{Masters: app.Masters, Complete: true}
		if opts.DryRun {
			c.Before = before
		}
		done = append(done, c)
		c.Report.Part(fmt.Sprintf("bring %s to masters that lack its images", app.Image))
		if err := perform(ctx, c, phase.AppAddition(c), opts, log); err != nil {
			return done, err
		}
		if !opts.shown() {
			if _, err := fmt.Fprintf(out, "%s: masters that lacked its images have them (%s)\n", app.Image, addressList(app.Masters)); err != nil {
				return done, err
			}
		}
	}
	return done, nil
}
