package phase

import (
	"context"
	"fmt"

	"github.com/kubefile/kubefile/runner/environment"
)

// checkArtifact reads all of a local artifact before any host is touched.
type checkArtifact struct{ *Cluster }

func (*checkArtifact) Title() string { return "Check the cluster image" }

func (p *checkArtifact) Run(ctx context.Context) error {
	d := p.Artifact.Description
	if _, err := environment.Parse(d.Env); err != nil {
		return fmt.Errorf("%s: %w", p.Artifact.Name, err)
	}
	for _, warning := range p.Site.Warnings {
		p.Report.Printf("warning: %s\n", warning)
	}
	return p.Artifact.Verify(ctx, nil)
}
