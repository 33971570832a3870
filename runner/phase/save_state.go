package phase

import (
	"cmp"
	"context"
	"slices"

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
	for _, m := range p.targets() {
		if m.Joined || p.DryRun {
			p.enter(m, state.Complete)
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
	layers := p.imagesAfter()
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

// enter puts a host into the state. Of an application image nothing about the host is wanted.
func (c *Cluster) enter(m *execute.Member, phase state.Phase) {
	h := state.Host{Address: m.Host.Address, Name: m.Name, Role: string(m.Host.Role), Phase: phase}
	if old := c.State.Host(h.Address); old != nil {
		h.Labels, h.Taints = old.Labels, old.Taints
	}
	if phase == state.Complete && (c.App == "" || c.Joining != nil) {
		h.Labels, h.Taints = nil, nil
		for _, label := range (&labelNodes{c}).labelChanges(m) {
			if h.Labels == nil {
				h.Labels = map[string]string{}
			}
			h.Labels[label.Key] = label.Value
		}
		for _, taint := range m.Site.Taints {
			h.Taints = append(h.Taints, taint.String())
		}
	}
	c.State.Put(h)
}

// enroll puts all hosts of the run into the state before anything but the agent of the masters is on them: whatever happens, a removal
// finds them.
func (c *Cluster) enroll(ctx context.Context) error {
	changed := c.Incomplete()
	for _, m := range c.Members {
		known := c.State.Host(m.Host.Address)
		switch {
		case known == nil, !m.Joined && (known.In() || known.Name != m.Name || known.Role != string(m.Host.Role)):
			c.enter(m, state.Joining)
		case m.Joined && !known.In():
			c.enter(m, state.Joined)
		default:
			continue
		}
		changed = true
		if c.DryRun { // what a run has written differs from what is to be saved at its end
			c.Store.Forget()
		}
	}
	if !changed {
		return nil
	}
	return c.Do(ctx, c.First(), "record the hosts in the cluster's state", func(ctx context.Context) error { return c.Save(ctx, &c.Session) })
}

// recordJoined notes in the state which hosts have joined.
func (c *Cluster) recordJoined(ctx context.Context) error {
	changed := false
	for _, m := range c.Members {
		if known := c.State.Host(m.Host.Address); m.Joined && (known == nil || !known.In()) {
			c.enter(m, state.Joined)
			changed = true
		}
	}
	if !changed || c.DryRun {
		return nil
	}
	return c.Save(ctx, &c.Session)
}
