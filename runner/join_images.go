package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/state"
)

// wantedImage is an image of a cluster.
type wantedImage struct {
	what   string // for people
	names  []string
	digest digest.Digest
}

// wantedImages are those of the state, the cluster's own first. named is what a Clusterfile calls that; empty for nothing.
func wantedImages(s *state.State, named string) []wantedImage {
	own := wantedImage{"the cluster", []string{s.Image}, s.Digest}
	if named != "" && named != s.Image {
		own.names = []string{named, s.Image}
	}
	images := []wantedImage{own}
	for _, app := range s.Apps {
		images = append(images, wantedImageOf(app))
	}
	return images
}

func wantedImageOf(app state.App) wantedImage {
	return wantedImage{"application " + app.Dir, []string{app.Image}, app.Digest}
}

// match finds an artifact for each image: among those that were given, or by its name. opened are those that were not given.
func match(ctx context.Context, given []*source.Artifact, images []wantedImage, from source.Options) (artifacts, opened []*source.Artifact, err error) {
	for _, a := range given {
		if !slices.ContainsFunc(images, func(image wantedImage) bool { return image.digest == a.Digest }) {
			return nil, nil, otherImage(a, images)
		}
	}
	for _, image := range images {
		var found *source.Artifact
		if at := slices.IndexFunc(given, func(a *source.Artifact) bool { return a.Digest == image.digest }); at >= 0 {
			found = given[at]
		}
		artifacts = append(artifacts, found)
	}
	for i, image := range images {
		if artifacts[i] != nil {
			continue
		}
		a, err := image.open(ctx, from)
		if err != nil {
			return nil, opened, err
		}
		opened, artifacts[i] = append(opened, a), a
	}
	return artifacts, opened, nil
}

// open opens an image by its names.
func (w wantedImage) open(ctx context.Context, from source.Options) (*source.Artifact, error) {
	a, err := w.byName(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("the image of %s (%s, %s) is not found by its name; name a file or reference that has it, as in sealer-run join ./image.tar: %w",
			w.what, w.names[len(w.names)-1], w.digest, err)
	}
	return a, nil
}

// byName opens the first of the names that has the digest.
func (w wantedImage) byName(ctx context.Context, from source.Options) (*source.Artifact, error) {
	var failed []error
	for _, name := range w.names {
		a, err := source.Open(ctx, name, from)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		if a.Digest == w.digest {
			return a, nil
		}
		failed = append(failed, fmt.Errorf("%s is another image by now (%s)", name, a.Digest))
		a.Close()
	}
	return nil, errors.Join(failed...)
}

// otherImage is the error for an image that the cluster does not have.
func otherImage(a *source.Artifact, images []wantedImage) error {
	if a.Description.Kind == imagespec.KindCluster {
		return fmt.Errorf("%s is %s, and the cluster was made from %s (%s); hosts join with the image of the cluster", a.Name, a.Digest, images[0].names[0], images[0].digest)
	}
	var names []string
	for _, image := range images[1:] {
		names = append(names, fmt.Sprintf("%s (%s)", image.names[0], image.digest))
	}
	if len(names) == 0 {
		return fmt.Errorf("%s is an application image, and the cluster has none; run it after the hosts have joined", a.Name)
	}
	return fmt.Errorf("%s is %s, and the cluster has the application images %s", a.Name, a.Digest, strings.Join(names, ", "))
}
