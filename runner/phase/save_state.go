package phase

import (
	"cmp"
	"context"
	"slices"

	"github.com/kubefile/kubefile/runner/deliver"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/state"
	"github.com/kubefile/kubefile/runner/store"
)

// saveState writes what the cluster is made of to every master and, for those who have only kubectl, to a Secret.
type saveState struct{ *Cluster }

func (*saveState) Title() string { return "Save the cluster's state" }

func (p *saveState) Run(ctx context.Context) error {
	switch {
	case p.Joining == nil:
		p.noteImage()
	case p.Joining.More, p.Joining.Complete: // an interrupted run has to bring the other images to the hosts; or the run before has saved it
		return nil
	}
	for _, m := range p.Targets() {
		if m.Joined || p.DryRun {
			p.complete(m)
		}
	}
	if changed, err := p.Changed(); err != nil || !changed {
		return err
	}
	return p.Do(ctx, p.First(), "save the state on the masters and in Secret kube-system/"+store.SecretName, func(ctx context.Context) error {
		return p.SaveWhole(ctx, &p.Session)
	})
}

// noteImage puts the image into the state. The same image by another name, such as another path of its file, is no change.
func (p *saveState) noteImage() {
	layers := deliver.ImagesAfter(p.State, p.App, p.Artifact)
	if p.layersRemoved {
		layers = layers.Removed()
	}
	if p.App == "" {
		p.State.Layers = layers
		if p.State.Digest != p.Artifact.Digest {
			p.State.Image, p.State.Digest = p.Artifact.Location(), p.Artifact.Digest
		}
		p.State.KubernetesVersion = p.Artifact.Description.KubernetesVersion
		p.noteWanted()
		return
	}
	app := state.App{Dir: p.App, Image: p.Artifact.Location(), Digest: p.Artifact.Digest, Layers: layers}
	if at := slices.IndexFunc(p.State.Apps, func(a state.App) bool { return a.Dir == app.Dir }); at >= 0 {
		if p.State.Apps[at].Digest == app.Digest {
			app.Image = p.State.Apps[at].Image
		}
		p.State.Apps[at] = app
		return
	}
	p.State.Apps = append(p.State.Apps, app)
	slices.SortFunc(p.State.Apps, func(a, b state.App) int { return cmp.Compare(a.Dir, b.Dir) })
}

// complete puts a host into the state that is in the cluster. Of an application image nothing about the host is wanted.
func (p *saveState) complete(m *execute.Member) {
	p.Enter(m, state.Complete)
	if p.App != "" && p.Joining == nil {
		return
	}
	h := *p.State.Host(m.Host.Address)
	h.Labels, h.Taints = nil, nil
	for _, label := range m.LabelChanges() {
		if h.Labels == nil {
			h.Labels = map[string]string{}
		}
		h.Labels[label.Key] = label.Value
	}
	for _, taint := range m.Site.Taints {
		h.Taints = append(h.Taints, taint.String())
	}
	p.State.Put(h)
}
