package step

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
)

// maxDocuments limits the indexes and manifests that are read to find the manifest of one image.
const maxDocuments = 100

// Reader reads a manifest or an index, checked against its digest.
type Reader func(ctx context.Context, dgst digest.Digest) (ocispec.Descriptor, []byte, error)

// Find follows a reference to the manifest that has the wanted config, in the order in which BuildKit and containerd look: children for the
// platform first, best match first, then children without a platform, whose config has it. A child may be an index. The documents are the
// bytes of the indexes on the way and of the manifest.
func Find(ctx context.Context, wanted Wanted, matcher platforms.MatchComparer, read Reader) (Image, map[digest.Digest][]byte, error) {
	s := &search{read: read, matcher: matcher, config: wanted.Config, left: maxDocuments}
	image, documents, err := s.find(ctx, wanted.Digest, 0)
	if err == nil && image == nil {
		err = fmt.Errorf("none of the index's manifests has the config %s that BuildKit chose", wanted.Config)
	}
	if err != nil {
		return Image{}, nil, err
	}
	return *image, documents, nil
}

type search struct {
	read    Reader
	matcher platforms.MatchComparer
	config  digest.Digest
	left    int // documents that may still be read
}

// find returns nil if the wanted manifest is not below the digest.
func (s *search) find(ctx context.Context, dgst digest.Digest, depth int) (*Image, map[digest.Digest][]byte, error) {
	if depth > imagespec.MaxIndexDepth {
		return nil, nil, fmt.Errorf("%s is nested more than %d levels deep in indexes", dgst, imagespec.MaxIndexDepth)
	}
	s.left--
	if s.left < 0 {
		return nil, nil, fmt.Errorf("no manifest with the config %s among the first %d indexes and manifests", s.config, maxDocuments)
	}
	desc, body, err := s.read(ctx, dgst)
	if err != nil {
		return nil, nil, err
	}
	if !IsIndex(desc.MediaType) {
		image := &Image{Manifest: desc}
		if err := image.ReadManifest(body); err != nil {
			return nil, nil, err
		}
		if depth > 0 && image.Config.Digest != s.config {
			return nil, nil, nil
		}
		return image, map[digest.Digest][]byte{dgst: body}, nil
	}
	candidates, err := children(body, s.matcher)
	if err != nil {
		return nil, nil, err
	}
	for _, child := range candidates {
		image, documents, err := s.find(ctx, child.Digest, depth+1)
		if err != nil {
			return nil, nil, err
		}
		if image != nil {
			image.Indexes = slices.Insert(image.Indexes, 0, desc)
			documents[dgst] = body
			return image, documents, nil
		}
	}
	return nil, nil, nil
}

// IsIndex reports whether the media type is an index.
func IsIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == "application/vnd.docker.distribution.manifest.list.v2+json"
}

// children returns what may lead to the platform's manifest, in the order in which to look.
func children(index []byte, matcher platforms.MatchComparer) ([]ocispec.Descriptor, error) {
	var idx ocispec.Index
	if err := json.Unmarshal(index, &idx); err != nil {
		return nil, fmt.Errorf("reading the index: %w", err)
	}
	var fit []ocispec.Descriptor
	for _, m := range idx.Manifests {
		attestation := m.Annotations["vnd.docker.reference.type"] != ""
		if !attestation && (m.Platform == nil || matcher.Match(*m.Platform)) {
			fit = append(fit, m)
		}
	}
	slices.SortStableFunc(fit, func(a, b ocispec.Descriptor) int {
		switch {
		case a.Platform == nil && b.Platform == nil:
			return 0
		case a.Platform == nil:
			return 1
		case b.Platform == nil:
			return -1
		case matcher.Less(*a.Platform, *b.Platform):
			return -1
		case matcher.Less(*b.Platform, *a.Platform):
			return 1
		}
		return 0
	})
	return fit, nil
}
