package phase

import (
	"context"
	"errors"
	"fmt"

	"github.com/kubefile/kubefile/imagespec"
)

// rejoin checks that the cluster is there and is one that the application image supports, and reads how it was configured.
type rejoin struct{ *Cluster }

func (*rejoin) Title() string { return "Look at the cluster" }

func (p *rejoin) Run(ctx context.Context) error {
	if len(p.Masters()) == 0 {
		return errors.New("no master of the cluster answers: name one with -m")
	}
	if p.planned() {
		return p.supported()
	}
	m := p.First()
	if !m.Joined {
		return fmt.Errorf("%s is an application image, and no cluster %[3]s runs on %[2]s: bring up an image like kubernetes:v1.34 first",
			p.Artifact.Name, m, p.Name)
	}
	if err := p.ReadFiles(ctx, comparedFiles); err != nil {
		return err
	}
	if err := p.recall(ctx); err != nil {
		return err
	}
	if p.Before == nil { // else they would have joined before
		if err := p.strangers(); err != nil {
			return err
		}
	}
	if err := p.supported(); err != nil {
		return err
	}
	for _, app := range p.State.Apps {
		if app.Dir == p.App && app.Image != p.Artifact.Location() && app.Digest != p.Artifact.Digest {
			p.Report.Line(m.String(), fmt.Sprintf("replaces %s", app.Image))
		}
	}
	var err error
	p.kubeadm, err = p.Configured(ctx)
	return err
}

// supported refuses an image that does not support the cluster's Kubernetes.
func (p *rejoin) supported() error {
	if err := imagespec.CheckKubernetes(p.Artifact.Description.SupportedKubernetes, p.State.KubernetesVersion); err != nil {
		return fmt.Errorf("%s: %w", p.Artifact.Name, err)
	}
	return nil
}

// planned takes over what the same dry run would have made before, if it is not there yet.
func (p *rejoin) planned() bool {
	if p.Before == nil || p.First().Joined {
		return false
	}
	p.kubeadm = p.Before.kubeadm
	p.State.KubernetesVersion = p.Before.Artifact.Description.KubernetesVersion
	return true
}

// strangers refuses hosts that were named and are not in the cluster: an application does not make them join.
func (p *rejoin) strangers() error {
	var strange []error
	for _, h := range p.Hosts {
		if known := p.State.Host(h.Login.Address); known == nil || !known.In() {
			strange = append(strange, fmt.Errorf("%s is not a host of the cluster %s: make it one by applying the cluster's own image with it",
				h.Login, p.Name))
		}
	}
	return errors.Join(strange...)
}
