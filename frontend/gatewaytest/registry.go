package gatewaytest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"cuelabs.dev/go/oci/ociregistry"
	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Registry has the images of all registries, in memory. Its repositories are called as in a full reference, registry included. A program that
// reads from a registry itself finds it behind HTTP (see [Registry.Mirrors]).
type Registry struct {
	server *httptest.Server
	store  *ocimem.Registry

	mu   sync.Mutex
	read []digest.Digest // layers and blobs
}

// Image is one platform of an image.
type Image struct {
	Config dockerspec.DockerOCIImage
	Layers [][]byte // uncompressed
}

// NewRegistry starts a registry that ends with the test.
func NewRegistry(tb testing.TB) *Registry {
	tb.Helper()
	r := &Registry{store: ocimem.New()}
	r.server = httptest.NewServer(ociserver.New(r.store, nil))
	tb.Cleanup(r.server.Close)
	return r
}

// Mirrors names the registry as mirror of others: HOST=URL,…
func (r *Registry) Mirrors(hosts ...string) string {
	var mirrors []string
	for _, host := range hosts {
		mirrors = append(mirrors, host+"="+r.server.URL+"/"+host)
	}
	return strings.Join(mirrors, ",")
}

// Push adds an image, as an index if it is for several platforms, and returns its digest.
func (r *Registry) Push(tb testing.TB, ref string, images ...Image) digest.Digest {
	tb.Helper()
	named, err := parse(ref)
	if err != nil {
		tb.Fatal(err)
	}
	tag := named.(reference.Tagged).Tag()
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, image := range images {
		desc := r.pushImage(tb, named.Name(), tag, image)
		desc.Platform = &image.Config.Platform
		index.Manifests = append(index.Manifests, desc)
	}
	if len(images) == 1 {
		return index.Manifests[0].Digest
	}
	return r.document(tb, named.Name(), tag, ocispec.MediaTypeImageIndex, index).Digest
}

func (r *Registry) pushImage(tb testing.TB, repository, tag string, image Image) ocispec.Descriptor {
	tb.Helper()
	manifest := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Layers: []ocispec.Descriptor{}}
	image.Config.RootFS = image.rootFS()
	for _, l := range image.Layers {
		manifest.Layers = append(manifest.Layers, r.pushBlob(tb, repository, ocispec.MediaTypeImageLayer, l))
	}
	config, err := json.Marshal(image.Config)
	if err != nil {
		tb.Fatal(err)
	}
	manifest.Config = r.pushBlob(tb, repository, ocispec.MediaTypeImageConfig, config)
	return r.document(tb, repository, tag, ocispec.MediaTypeImageManifest, manifest)
}

// rootFS lists the layers, as a config does.
func (i Image) rootFS() ocispec.RootFS {
	all := ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{}}
	for _, l := range i.Layers {
		all.DiffIDs = append(all.DiffIDs, digest.FromBytes(l))
	}
	return all
}

func (r *Registry) pushBlob(tb testing.TB, repository, mediaType string, content []byte) ocispec.Descriptor {
	tb.Helper()
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	if _, err := r.store.PushBlob(context.Background(), repository, desc, bytes.NewReader(content)); err != nil {
		tb.Fatal(err)
	}
	return desc
}

func (r *Registry) document(tb testing.TB, repository, tag, mediaType string, document any) ocispec.Descriptor {
	tb.Helper()
	content, err := json.Marshal(document)
	if err != nil {
		tb.Fatal(err)
	}
	desc, err := r.store.PushManifest(context.Background(), repository, tag, content, mediaType)
	if err != nil {
		tb.Fatal(err)
	}
	return desc
}

// ServeAsBlobs lets the manifests of an image be read as blobs, too, as some registries do.
func (r *Registry) ServeAsBlobs(tb testing.TB, ref string, platforms ...ocispec.Platform) {
	tb.Helper()
	for _, platform := range platforms {
		found, err := r.resolve(context.Background(), ref, &platform)
		if err != nil {
			tb.Fatal(err)
		}
		for _, content := range found.documents {
			r.pushBlob(tb, found.repository, ocispec.MediaTypeImageManifest, content)
		}
	}
}

// Remove makes a blob of an image disappear, as a broken registry does.
func (r *Registry) Remove(tb testing.TB, repository string, dgst digest.Digest) {
	tb.Helper()
	if err := r.store.DeleteBlob(context.Background(), repository, dgst); err != nil {
		tb.Fatal(err)
	}
}

// Read returns the digests of the layers and blobs that builds have read, and forgets them.
func (r *Registry) Read() []digest.Digest {
	r.mu.Lock()
	defer r.mu.Unlock()
	read := r.read
	r.read = nil
	return read
}

func (r *Registry) layer(ctx context.Context, repository string, desc ocispec.Descriptor) (io.ReadCloser, error) {
	if desc.MediaType != ocispec.MediaTypeImageLayer {
		return nil, refused("layers of the type %s", desc.MediaType)
	}
	content, err := r.blob(ctx, repository, desc.Digest)
	return io.NopCloser(bytes.NewReader(content)), err
}

func (r *Registry) blob(ctx context.Context, repository string, dgst digest.Digest) ([]byte, error) {
	r.mu.Lock()
	r.read = append(r.read, dgst)
	r.mu.Unlock()
	blob, err := r.store.GetBlob(ctx, repository, ociregistry.Digest(dgst))
	if err != nil {
		return nil, fmt.Errorf("failed to fetch %s@%s: %w", repository, dgst, err)
	}
	defer blob.Close()
	return io.ReadAll(blob)
}

// resolve finds the image of a reference for a platform.
func (r *Registry) resolve(ctx context.Context, ref string, platform *ocispec.Platform) (*found, error) {
	named, err := parse(ref)
	if err != nil {
		return nil, err
	}
	var top ociregistry.BlobReader
	if digested, ok := named.(reference.Digested); ok {
		top, err = r.store.GetManifest(ctx, named.Name(), ociregistry.Digest(digested.Digest()))
	} else {
		top, err = r.store.GetTag(ctx, named.Name(), named.(reference.Tagged).Tag())
	}
	if errors.Is(err, ociregistry.ErrNameUnknown) || errors.Is(err, ociregistry.ErrManifestUnknown) {
		return nil, fmt.Errorf("%s: not found", ref)
	}
	if err != nil {
		return nil, fmt.Errorf("resolving %s: %w", ref, err)
	}
	f := &found{repository: named.Name(), digest: digest.Digest(top.Descriptor().Digest)}
	if platform == nil {
		platform = &buildPlatform
	}
	return f, r.descend(ctx, f, ref, platforms.Only(*platform), top)
}

// descend reads the manifest that a platform gets, from an index or directly, and the config.
func (r *Registry) descend(ctx context.Context, f *found, ref string, matcher platforms.MatchComparer, document ociregistry.BlobReader) error {
	defer document.Close()
	content, err := io.ReadAll(document)
	if err != nil {
		return err
	}
	f.documents = append(f.documents, content)
	if document.Descriptor().MediaType == ocispec.MediaTypeImageIndex {
		var index ocispec.Index
		if err := json.Unmarshal(content, &index); err != nil {
			return err
		}
		fit := slices.DeleteFunc(index.Manifests, func(d ocispec.Descriptor) bool { return d.Platform == nil || !matcher.Match(*d.Platform) })
		slices.SortStableFunc(fit, func(a, b ocispec.Descriptor) int {
			if matcher.Less(*a.Platform, *b.Platform) {
				return -1
			}
			return 1
		})
		if len(fit) == 0 {
			return fmt.Errorf("no match for platform in manifest %s: not found", document.Descriptor().Digest)
		}
		child, err := r.store.GetManifest(ctx, f.repository, ociregistry.Digest(fit[0].Digest))
		if err != nil {
			return fmt.Errorf("%s: %w", ref, err)
		}
		return r.descend(ctx, f, ref, matcher, child)
	}
	if err := json.Unmarshal(content, &f.manifest); err != nil {
		return err
	}
	config, err := r.store.GetBlob(ctx, f.repository, ociregistry.Digest(f.manifest.Config.Digest))
	if err != nil {
		return fmt.Errorf("%s: %w", ref, err)
	}
	defer config.Close()
	f.config, err = io.ReadAll(config)
	return err
}

func parse(ref string) (reference.Named, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return nil, err
	}
	return reference.TagNameOnly(named), nil
}
