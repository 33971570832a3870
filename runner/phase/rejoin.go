package phase

import (
	"context"
	"errors"
	"fmt"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/kubeadm"
)

// rejoin checks that the cluster is there and is one that the application image supports, and reads how it was configured.
type rejoin struct{ *Cluster }

func (*rejoin) Title() string { return "Look at the cluster" }

func (p *rejoin) Run(ctx context.Context) error {
	if len(p.masters()) == 0 {
		return errors.New("no master of the cluster answers: name one with -m")
	}
	m := p.first()
	if !m.joined {
		return fmt.Errorf("%s has no Kubernetes in it, and on %s is no cluster %s: bring up an image like kubernetes:v1.34 first",
			p.Artifact.Name, m, p.Name)
	}
	if err := p.recall(ctx); err != nil {
		return err
	}
	if err := imagespec.CheckKubernetes(p.Artifact.Description.SupportedKubernetes, p.state.KubernetesVersion); err != nil {
		return fmt.Errorf("%s: %w", p.Artifact.Name, err)
	}
	config, err := m.read(ctx, m.path(initConfig))
	if err != nil {
		return err
	}
	if p.kubeadm, err = kubeadm.Parse(config); err != nil {
		return fmt.Errorf("%s: reading %s: %w", m, initConfig, err)
	}
	return nil
}
