package phase

import (
	"context"
	"errors"
	"fmt"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/environment"
)

// checkArtifact reads all of a local artifact before any host is touched.
type checkArtifact struct{ *Cluster }

func (*checkArtifact) Title() string { return "Check the cluster image" }

func (p *checkArtifact) Run(ctx context.Context) error {
	d := p.Artifact.Description
	if d.Kind != imagespec.KindCluster {
		return fmt.Errorf("%s has no Kubernetes in it: it is an application image, and needs an image like kubernetes:v1.34 under it",
			p.Artifact.Name)
	}
	if _, err := environment.Parse(d.Env); err != nil {
		return fmt.Errorf("%s: %w", p.Artifact.Name, err)
	}
	if len(p.Hosts) == 0 {
		return errors.New("no host: name at least one master with -m")
	}
	return p.Artifact.Verify(ctx, nil)
}
