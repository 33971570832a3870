// Package preflight checks an image and the hosts for it before any of them is changed.
package preflight

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/source"
)

// CheckImage reads all of a local artifact before any host is touched.
type CheckImage struct {
	Report   *report.Report
	Artifact *source.Artifact
	Site     *clusterfile.Clusterfile
}

// Title says what the phase does, for a person.
func (*CheckImage) Title() string { return "Check the cluster image" }

// Run does it, and names what the Clusterfile warns of.
func (p *CheckImage) Run(ctx context.Context) error {
	d := p.Artifact.Description
	if _, err := environment.Parse(d.Env); err != nil {
		return fmt.Errorf("%s: %w", p.Artifact.Name, err)
	}
	for _, warning := range p.Site.Warnings {
		p.Report.Printf("warning: %s\n", warning)
	}
	return p.Artifact.Verify(ctx, nil)
}

// Images returns what is wrong with images, of which the first has Kubernetes in it: it reads them as [CheckImage] does, and looks for
// the runner that a later phase copies to the hosts.
func (p *CheckImage) Images(ctx context.Context, apps []*source.Artifact) (refused []error) {
	p.Report.Printf("%s\n", p.Title())
	err := p.Run(ctx)
	if err == nil {
		err = hasRunner(ctx, p.Artifact)
	}
	refused = append(refused, err)
	for _, app := range apps {
		_, err := environment.Parse(app.Description.Env)
		if err != nil {
			err = fmt.Errorf("%s: %w", app.Name, err)
		} else {
			err = app.Verify(ctx, nil)
		}
		refused = append(refused, err)
	}
	return slices.DeleteFunc(refused, func(err error) bool { return err == nil })
}

func hasRunner(ctx context.Context, a *source.Artifact) error {
	dir, err := os.MkdirTemp("", "sealer-run-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	_, _, _, err = a.Runner(ctx, dir)
	return err
}
