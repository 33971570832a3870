package phase

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/ask"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/state"
)

// removeLayers removes from the hosts what neither the image of this run needs nor the one before, once the run has succeeded. It does nothing as
// long as the cluster's state does not list what these two need, and leaves images alone that pods use.
type removeLayers struct{ *Cluster }

func (*removeLayers) Title() string { return "Remove layers of earlier images" }

func (p *removeLayers) Run(ctx context.Context) error {
	if p.Joining != nil {
		return nil // the cluster keeps its image
	}
	keep := p.imagesAfter().Kept()
	if keep == nil {
		return nil
	}
	used, err := p.podReferences(ctx)
	if err != nil {
		p.Report.Printf("warning: layers of earlier images stay on the hosts, because it is not known which images pods use; the next run tries again: %v\n", err)
		return context.Cause(ctx)
	}
	stay := make([]bool, len(p.Members))
	err = p.Each(ctx, p.Members, func(ctx context.Context, m *execute.Member) (err error) {
		stay[m.Index], err = p.host(ctx, m, keep, used)
		return err
	})
	p.layersRemoved = err == nil && !slices.Contains(stay, true) && len(p.others()) == 0
	return err
}

// imagesAfter are the images that hosts may have layers of, once this run is complete.
func (c *Cluster) imagesAfter() state.Images {
	image := state.ImageLayers{Digest: c.Artifact.Digest}
	for _, layer := range slices.Concat(c.Artifact.RootfsLayers, c.Artifact.ImageLayers) {
		image.Layers = append(image.Layers, layer.Descriptor.Digest)
	}
	if c.App == "" {
		return c.State.Layers.Next(c.State.Digest, image)
	}
	for _, app := range c.State.Apps {
		if app.Dir == c.App {
			return app.Layers.Next(app.Digest, image)
		}
	}
	return state.Images{image}
}

// host removes the layers of one host that are not among keep, and reports whether some of them stay.
func (p *removeLayers) host(ctx context.Context, m *execute.Member, keep []digest.Digest, used func(reference string) bool) (stay bool, err error) {
	if m.IsNew || m.Absent {
		return false, nil
	}
	found, err := m.Image.Unneeded(ctx, keep)
	if err != nil {
		p.Report.Line(m.String(), fmt.Sprintf("warning: layers of earlier images stay: %v", err))
		return true, context.Cause(ctx)
	}
	var remove []digest.Digest
	for _, layer := range found {
		if at := slices.IndexFunc(layer.References, used); at >= 0 {
			p.Report.Line(m.String(), fmt.Sprintf("a layer of an earlier image stays, because pods use %s", layer.References[at]))
			stay = true
			continue
		}
		remove = append(remove, layer.Digest)
	}
	if len(remove) == 0 {
		return stay, nil
	}
	return stay, p.Do(ctx, m, fmt.Sprintf("remove layers of earlier images (%d)", len(remove)), func(ctx context.Context) error {
		bytes, err := m.Image.RemoveLayers(ctx, remove)
		if err == nil {
			p.Report.Line(m.String(), "freed "+report.Bytes(bytes))
		}
		return err
	})
}

// podReferences returns a function that reports whether pods use an image. A pod that names an image by digest uses all of its repository.
func (c *Cluster) podReferences(ctx context.Context) (func(reference string) bool, error) {
	var written map[string]int
	err := ask.Masters(ctx, &c.Session, &c.Store, func(ctx context.Context, m *execute.Member) (err error) {
		written, err = ask.PodImages(ctx, m)
		return err
	})
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for name := range written {
		if ref, err := imagespec.ParseReference(name); err == nil {
			repository, _, byDigest := strings.Cut(ref.String(), "@")
			if byDigest {
				name = repositoryOf(repository)
			} else {
				name = ref.String()
			}
		}
		used[name] = true
	}
	return func(reference string) bool { return used[reference] || used[repositoryOf(reference)] }, nil
}

// repositoryOf is a reference in full form without tag or digest.
func repositoryOf(reference string) string {
	name, _, _ := strings.Cut(reference, "@")
	if at := strings.LastIndex(name, ":"); at > strings.LastIndex(name, "/") {
		return name[:at]
	}
	return name
}
