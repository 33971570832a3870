// Package image assembles container images from files: deterministic layers, and around them configs, manifests,
// attestation manifests and an index, as BuildKit writes them.
package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
)

// Media types of Docker's image manifest version 2, schema 2.
const (
	mediaTypeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	mediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	mediaTypeDockerConfig   = "application/vnd.docker.container.image.v1+json"
	mediaTypeDockerLayer    = "application/vnd.docker.image.rootfs.diff.tar.gzip"

	mediaTypeInToto = "application/vnd.in-toto+json"
)

// A Platform is the image of one platform. Its layers are in the store already.
type Platform struct {
	ocispec.Platform
	Config ocispec.ImageConfig
	Layers []Layer
}

// Push writes an OCI image index to dst and returns its descriptor: for every platform an image, and after the images for
// each of them an attestation manifest as `docker buildx build` adds it (platform unknown/unknown).
func Push(ctx context.Context, dst content.Pusher, platforms ...Platform) (ocispec.Descriptor, error) {
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, p := range platforms {
		desc, err := PushManifest(ctx, dst, p)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		desc.Platform = &p.Platform
		index.Manifests = append(index.Manifests, desc)
	}
	for _, image := range index.Manifests[:len(platforms)] {
		desc, err := pushAttestation(ctx, dst, image)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		index.Manifests = append(index.Manifests, desc)
	}
	return pushJSON(ctx, dst, index.MediaType, index)
}

// PushIndex writes an OCI image index of children that are in dst already.
func PushIndex(ctx context.Context, dst content.Pusher, children ...ocispec.Descriptor) (ocispec.Descriptor, error) {
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: children}
	return pushJSON(ctx, dst, index.MediaType, index)
}

// PushManifest writes the OCI image of one platform to dst, without an index.
func PushManifest(ctx context.Context, dst content.Pusher, p Platform) (ocispec.Descriptor, error) {
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
	}
	for _, layer := range p.Layers {
		manifest.Layers = append(manifest.Layers, layer.Descriptor)
	}
	var err error
	if manifest.Config, err = pushJSON(ctx, dst, ocispec.MediaTypeImageConfig, config(p)); err != nil {
		return ocispec.Descriptor{}, err
	}
	return pushJSON(ctx, dst, manifest.MediaType, manifest)
}

// PushDocker writes a Docker manifest list and Docker schema 2 manifests to dst. They have no attestations.
func PushDocker(ctx context.Context, dst content.Pusher, platforms ...Platform) (ocispec.Descriptor, error) {
	list := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: mediaTypeDockerList}
	for _, p := range platforms {
		manifest := ocispec.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2},
			MediaType: mediaTypeDockerManifest,
		}
		for _, layer := range p.Layers {
			layer.Descriptor.MediaType = mediaTypeDockerLayer
			manifest.Layers = append(manifest.Layers, layer.Descriptor)
		}
		var err error
		if manifest.Config, err = pushJSON(ctx, dst, mediaTypeDockerConfig, config(p)); err != nil {
			return ocispec.Descriptor{}, err
		}
		desc, err := pushJSON(ctx, dst, manifest.MediaType, manifest)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		desc.Platform = &p.Platform
		list.Manifests = append(list.Manifests, desc)
	}
	return pushJSON(ctx, dst, list.MediaType, list)
}

func config(p Platform) ocispec.Image {
	epoch := time.Unix(0, 0).UTC()
	image := ocispec.Image{
		Created:  &epoch,
		Platform: p.Platform,
		Config:   p.Config,
		RootFS:   ocispec.RootFS{Type: "layers"},
	}
	for _, layer := range p.Layers {
		image.RootFS.DiffIDs = append(image.RootFS.DiffIDs, layer.DiffID)
		image.History = append(image.History, ocispec.History{Created: &epoch, CreatedBy: "kubefile lab"})
	}
	return image
}

// pushAttestation writes an attestation manifest for an image: one in-toto statement without content.
// BuildKit documents the form in docs/attestations/attestation-storage.md.
func pushAttestation(ctx context.Context, dst content.Pusher, image ocispec.Descriptor) (ocispec.Descriptor, error) {
	const predicateType = "https://slsa.dev/provenance/v1"
	statement := map[string]any{
		"_type":         "https://in-toto.io/Statement/v1",
		"predicateType": predicateType,
		"subject":       []any{map[string]any{"name": "_", "digest": map[string]string{"sha256": image.Digest.Encoded()}}},
		"predicate":     map[string]any{},
	}
	layer, err := pushJSON(ctx, dst, mediaTypeInToto, statement)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	layer.Annotations = map[string]string{"in-toto.io/predicate-type": predicateType}
	unknown := ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	desc, err := PushManifest(ctx, dst, Platform{Platform: unknown, Layers: []Layer{{Descriptor: layer, DiffID: layer.Digest}}})
	desc.Platform = &unknown
	desc.Annotations = map[string]string{
		"vnd.docker.reference.type":   "attestation-manifest",
		"vnd.docker.reference.digest": image.Digest.String(),
	}
	return desc, err
}

func pushJSON(ctx context.Context, dst content.Pusher, mediaType string, v any) (ocispec.Descriptor, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	return desc, PushBlob(ctx, dst, desc, bytes.NewReader(data))
}

// PushBlob writes a blob to dst. That dst has it already is no error.
func PushBlob(ctx context.Context, dst content.Pusher, desc ocispec.Descriptor, r io.Reader) error {
	err := dst.Push(ctx, desc, r)
	if err != nil && !errors.Is(err, errdef.ErrAlreadyExists) {
		return fmt.Errorf("storing %s %s: %w", desc.MediaType, desc.Digest, err)
	}
	return nil
}
