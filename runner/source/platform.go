package source

import (
	"context"
	"fmt"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"

	"github.com/kubefile/kubefile/imagespec"
)

const (
	MediaTypeDockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	MediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	mediaTypeDockerConfig   = "application/vnd.docker.container.image.v1+json"

	// maxImages bounds the images of one artifact that are looked at.
	maxImages = 1000
)

// candidate is an image manifest with the platform it is for.
type candidate struct {
	descriptor ocispec.Descriptor
	platform   ocispec.Platform
	name       string // of the root it was found under
}

// choose finds the one image for a platform under the roots.
func choose(ctx context.Context, from content.Fetcher, roots []ocispec.Descriptor, want ocispec.Platform) (ocispec.Descriptor, error) {
	var all []candidate
	for _, root := range roots {
		found, err := candidates(ctx, from, root, 0)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		for _, c := range found {
			c.name = describe(root)
			// Two names of one image are one image.
			if !slices.ContainsFunc(all, func(o candidate) bool { return o.descriptor.Digest == c.descriptor.Digest }) {
				all = append(all, c)
			}
		}
		if len(all) > maxImages {
			return ocispec.Descriptor{}, fmt.Errorf("%w: more than %d images", ErrDamaged, maxImages)
		}
	}
	fit := slices.DeleteFunc(slices.Clone(all), func(c candidate) bool { return !Matches(want, c.platform) })
	switch len(fit) {
	case 1:
		return fit[0].descriptor, nil
	case 0:
		return ocispec.Descriptor{}, fmt.Errorf("%w: %s; it has: %s", ErrPlatform, PlatformName(want),
			list(all, func(c candidate) string { return PlatformName(c.platform) }))
	}
	return ocispec.Descriptor{}, fmt.Errorf("%w in it: %s; choose one by PATH:TAG or PATH@DIGEST", ErrAmbiguous,
		list(fit, func(c candidate) string { return c.name }))
}

// candidates lists the image manifests under a descriptor, without attestations
// and other artifacts.
func candidates(ctx context.Context, from content.Fetcher, d ocispec.Descriptor, depth int) ([]candidate, error) {
	switch d.MediaType {
	case ocispec.MediaTypeImageIndex, MediaTypeDockerIndex:
	case ocispec.MediaTypeImageManifest, MediaTypeDockerManifest:
		return image(ctx, from, d)
	default:
		return nil, nil
	}
	if depth == imagespec.MaxIndexDepth {
		return nil, fmt.Errorf("%w: indexes nested more than %d deep", ErrDamaged, depth)
	}
	var index ocispec.Index
	if err := fetchJSON(ctx, from, d, &index); err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	var all []candidate
	for _, child := range index.Manifests {
		found, err := candidates(ctx, from, child, depth+1)
		if err != nil {
			return nil, err
		}
		if all = append(all, found...); len(all) > maxImages {
			return nil, fmt.Errorf("%w: more than %d images", ErrDamaged, maxImages)
		}
	}
	return all, nil
}

// image is a manifest as a candidate. The platform of one that stands alone is
// in its config.
func image(ctx context.Context, from content.Fetcher, d ocispec.Descriptor) ([]candidate, error) {
	if d.ArtifactType != "" && !IsImageConfig(d.ArtifactType) || d.Annotations["vnd.docker.reference.type"] != "" {
		return nil, nil
	}
	if d.Platform != nil {
		return []candidate{{descriptor: d, platform: *d.Platform}}, nil
	}
	var manifest ocispec.Manifest
	if err := fetchJSON(ctx, from, d, &manifest); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if !IsImageConfig(manifest.Config.MediaType) {
		return nil, nil // a chart, a signature
	}
	var config ocispec.Image
	if err := fetchJSON(ctx, from, manifest.Config, &config); err != nil {
		return nil, fmt.Errorf("image config: %w", err)
	}
	return []candidate{{descriptor: d, platform: config.Platform}}, nil
}

// IsImageConfig reports whether a media type is that of the config of an image.
func IsImageConfig(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageConfig || mediaType == mediaTypeDockerConfig
}

// Matches says whether an image for one platform runs on another. A variant
// counts only when it was asked for.
func Matches(want, have ocispec.Platform) bool {
	return want.OS == have.OS && want.Architecture == have.Architecture &&
		(want.Variant == "" || want.Variant == have.Variant || have.Variant == "")
}

// PlatformName is a platform as people write it: linux/arm64/v8.
func PlatformName(p ocispec.Platform) string {
	name := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		name += "/" + p.Variant
	}
	return name
}

// list joins a few texts, each once.
func list(all []candidate, text func(candidate) string) string {
	var texts []string
	for _, c := range all {
		if t := text(c); !slices.Contains(texts, t) {
			texts = append(texts, t)
		}
	}
	if texts == nil {
		return "no image"
	}
	const enough = 20
	if len(texts) > enough {
		texts = append(texts[:enough], "...")
	}
	return strings.Join(texts, ", ")
}
