package upstream

import (
	"bytes"
	"context"
	"io"
	"sync"

	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"

	"github.com/kubefile/kubefile/integration/upstream/image"
)

var (
	amd64 = ocispec.Platform{OS: "linux", Architecture: "amd64"}
	arm64 = ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
)

// Generate writes to dst the image that a Server gives to a reference which is not in its layout, and returns its descriptor.
// It is a function of the reference alone. Of the two layers one is common to all tags of the repository. Nothing in it runs.
func Generate(ctx context.Context, dst content.Pusher, ref reference.NamedTagged) (ocispec.Descriptor, error) {
	switch name := ref.Name(); {
	case hasComponent(name, "lab-single"):
		platform, err := generatePlatform(ctx, dst, ref, amd64)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		return image.PushManifest(ctx, dst, platform)
	case hasComponent(name, "lab-arm64"):
		platform, err := generatePlatform(ctx, dst, ref, arm64)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		return image.Push(ctx, dst, platform)
	case hasComponent(name, "lab-no-platform"):
		platform, err := generatePlatform(ctx, dst, ref, amd64)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		manifest, err := image.PushManifest(ctx, dst, platform)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		return image.PushIndex(ctx, dst, manifest)
	}
	var platforms []image.Platform
	for _, p := range []ocispec.Platform{amd64, arm64} {
		platform, err := generatePlatform(ctx, dst, ref, p)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		platforms = append(platforms, platform)
	}
	if hasComponent(ref.Name(), "lab-docker") {
		return image.PushDocker(ctx, dst, platforms...)
	}
	index, err := image.Push(ctx, dst, platforms...)
	if err != nil || !hasComponent(ref.Name(), "lab-nested") {
		return index, err
	}
	return image.PushIndex(ctx, dst, index)
}

func generatePlatform(ctx context.Context, dst content.Pusher, ref reference.NamedTagged, p ocispec.Platform) (image.Platform, error) {
	platform := image.Platform{Platform: p, Config: ocispec.ImageConfig{Entrypoint: []string{"/generated"}}}
	for i, entry := range []image.Entry{
		{Path: "usr/share/generated/repository", Mode: 0o644, Data: []byte(ref.Name() + " " + p.Architecture + "\n")},
		{Path: "usr/share/generated/reference", Mode: 0o644, Data: []byte(ref.String() + " " + p.Architecture + "\n")},
	} {
		var blob bytes.Buffer
		layer, err := image.WriteLayer(&blob, image.Gzip, []image.Entry{entry})
		if err != nil {
			return image.Platform{}, err
		}
		if missing := i > 0 && hasComponent(ref.Name(), "lab-incomplete"); !missing {
			if err := image.PushBlob(ctx, dst, layer.Descriptor, &blob); err != nil {
				return image.Platform{}, err
			}
		}
		platform.Layers = append(platform.Layers, layer)
	}
	return platform, nil
}

// blobs keeps content in memory by digest alone, because a layer may belong to manifests that call its type differently.
type blobs struct {
	byDigest sync.Map // digest.Digest to []byte
}

func (b *blobs) Push(_ context.Context, desc ocispec.Descriptor, r io.Reader) error {
	data, err := content.ReadAll(r, desc)
	if err != nil {
		return err
	}
	b.byDigest.Store(desc.Digest, data)
	return nil
}

func (b *blobs) Fetch(_ context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	data, ok := b.byDigest.Load(desc.Digest)
	if !ok {
		return nil, errNotFound
	}
	return io.NopCloser(bytes.NewReader(data.([]byte))), nil
}
