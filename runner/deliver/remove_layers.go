package deliver

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
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/state"
	"github.com/kubefile/kubefile/runner/store"
)

// RemoveLayers removes from the hosts what neither the image of this run needs nor the one before, once the run has succeeded. It does nothing as
// long as the cluster's state does not list what these two need, and leaves images alone that pods use.
type RemoveLayers struct {
	*execute.Session
	Artifact *source.Artifact
	Store    *store.Store
	// Removed becomes true when all hosts of the cluster have only the layers that they keep.
	Removed *bool
}

// Title says what the phase does, for a person.
func (*RemoveLayers) Title() string { return "Remove layers of earlier images" }

// Run does it.
func (p *RemoveLayers) Run(ctx context.Context) error {
	if p.Joining != nil {
		return nil // the cluster keeps its image
	}
	keep := ImagesAfter(p.Store.State, p.App, p.Artifact).Kept()
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
	*p.Removed = err == nil && !slices.Contains(stay, true) && len(p.Store.Others(p.Session)) == 0
	return err
}

// ImagesAfter are the images that hosts may have layers of, once a run of an image is complete. app is the directory of an application image below
// the cluster's; empty for the cluster image itself.
func ImagesAfter(s *state.State, app string, artifact *source.Artifact) state.Images {
	image := state.ImageLayers{Digest: artifact.Digest, Layers: state.Digests(slices.Concat(artifact.RootfsLayers, artifact.ImageLayers))}
	if app == "" {
		return s.Layers.Next(s.Digest, image)
	}
	for _, known := range s.Apps {
		if known.Dir == app {
			return known.Layers.Next(known.Digest, image)
		}
	}
	return state.Images{image}
}

// host removes the layers of one host that are not among keep, and reports whether some of them stay.
func (p *RemoveLayers) host(ctx context.Context, m *execute.Member, keep []digest.Digest, used func(reference string) bool) (stay bool, err error) {
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
func (p *RemoveLayers) podReferences(ctx context.Context) (func(reference string) bool, error) {
	var written map[string]int
	err := ask.Masters(ctx, p.Session, p.Store, func(ctx context.Context, m *execute.Member) (err error) {
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
