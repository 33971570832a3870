package deliver

import (
	"context"
	"slices"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/agent/client"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/state"
)

// Transfer brings the rootfs layers to every host and the image layers to the masters, and unpacks the rootfs. What is there
// already is not sent again.
type Transfer struct {
	*execute.Session
	Artifact *source.Artifact
}

// Title says what the phase does, for a person.
func (*Transfer) Title() string { return "Transfer" }

// UnpackedMarker says of which layers the rootfs and the image store are.
const UnpackedMarker = "unpacked.done"

// Run does it.
func (p *Transfer) Run(ctx context.Context) error {
	var targets []client.Target
	var sending []execute.Change
	if err := p.Each(ctx, p.Targets(), p.makeDir); err != nil {
		return err
	}
	for _, m := range p.Targets() {
		if p.DryRun && m.Absent { // nothing is there, not even an agent that could say so
			sending = append(sending, execute.Change{Member: m, What: "send " + report.Bytes(p.all(m))})
			continue
		}
		targets = append(targets, client.Target{Client: m.Image, Images: m.IsMaster()})
	}
	plans, err := client.Plan(ctx, p.Artifact, targets)
	if err != nil {
		return err
	}
	var send []client.Target
	for i, plan := range plans {
		if len(plan.Rootfs)+len(plan.Images) == 0 {
			continue
		}
		send = append(send, targets[i])
		what := "send " + report.Bytes(plan.Need)
		if plan.Present > 0 {
			what += " (" + report.Bytes(plan.Present) + " are there)"
		}
		sending = append(sending, execute.Change{Member: p.Member(plan.Host), What: what})
	}
	if err := p.DoTogether(ctx, sending, func(ctx context.Context) error { return p.send(ctx, send) }); err != nil {
		return err
	}
	return p.Each(ctx, p.Targets(), p.unpack)
}

// makeDir makes the directory of an application image; the cluster's own came with the agent.
func (p *Transfer) makeDir(ctx context.Context, m *execute.Member) error {
	if p.App == "" || !m.Absent {
		return nil
	}
	return p.Do(ctx, m, "make "+m.Image.Dir, func(ctx context.Context) error {
		_, err := m.Ask(ctx, "mkdir", "-p", "--", m.Image.Dir)
		return err
	})
}

func (p *Transfer) send(ctx context.Context, targets []client.Target) error {
	progress := report.NewProgress(p.Report)
	defer progress.Stop()
	sent, err := client.Send(ctx, p.Artifact, targets, client.SendOptions{Progress: progress})
	if err != nil {
		return err
	}
	for _, s := range sent {
		p.Report.Line(s.Host, "sent "+report.Bytes(s.Sent))
	}
	return nil
}

func (p *Transfer) unpack(ctx context.Context, m *execute.Member) error {
	key := p.layersKey(m)
	done, err := m.OfImage().Marked(ctx, UnpackedMarker, key)
	if err != nil || done {
		return err
	}
	return p.Do(ctx, m, "unpack the rootfs", func(ctx context.Context) error {
		if _, err := m.Image.UnpackRootfs(ctx, p.Artifact.RootfsLayers); err != nil {
			return err
		}
		if m.IsMaster() {
			if _, err := m.Image.CommitImages(ctx, p.Artifact.ImageLayers); err != nil {
				return err
			}
		}
		return m.OfImage().Mark(ctx, UnpackedMarker, key)
	})
}

// layers are those that a host gets.
func (p *Transfer) layers(m *execute.Member) []imagespec.Layer {
	layers := slices.Clone(p.Artifact.RootfsLayers)
	if m.IsMaster() {
		layers = append(layers, p.Artifact.ImageLayers...)
	}
	return layers
}

func (p *Transfer) layersKey(m *execute.Member) string {
	return state.LayersKey(state.Digests(p.layers(m)))
}

func (p *Transfer) all(m *execute.Member) (bytes int64) {
	for _, layer := range p.layers(m) {
		bytes += layer.Descriptor.Size
	}
	return bytes
}
