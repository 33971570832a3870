// Package storetest makes embedded stores for tests, as a build lays them out (imagespec/SPEC.md, section 4).
package storetest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
)

// Store is an embedded store in a directory of its own, and the lock that belongs to it.
type Store struct {
	Dir  string
	Lock *imagespec.Lock
	tb   testing.TB
}

// Image is an embedded image as most are: an index of which only one platform is shipped.
type Image struct {
	Index    ocispec.Descriptor
	Manifest ocispec.Descriptor // linux/amd64, which the store has
	Absent   ocispec.Descriptor // linux/arm64, which it has not
	Config   ocispec.Descriptor
	Layer    ocispec.Descriptor
	Content  []byte // of the layer
}

// New makes an empty store.
func New(tb testing.TB) *Store {
	tb.Helper()
	s := &Store{Dir: tb.TempDir(), Lock: imagespec.NewLock("linux/amd64"), tb: tb}
	s.Write(ocispec.ImageLayoutFile, []byte(`{"imageLayoutVersion":"1.0.0"}`))
	return s
}

// Embed puts an image with one layer of the given content into the store under a reference.
func (s *Store) Embed(reference string, content []byte) Image {
	s.tb.Helper()
	image := Image{Content: content, Layer: s.Blob(ocispec.MediaTypeImageLayer, content)}
	image.Config = s.JSON(ocispec.MediaTypeImageConfig, ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{image.Layer.Digest}},
	})
	image.Manifest = s.Manifest(image.Config, image.Layer)
	image.Manifest.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	image.Absent = describe(ocispec.MediaTypeImageManifest, append([]byte("absent "), content...))
	image.Absent.Platform = &ocispec.Platform{OS: "linux", Architecture: "arm64"}
	image.Index = s.Index(image.Absent, image.Manifest)
	s.Refer(reference, image.Index)
	size := image.Index.Size + image.Manifest.Size + image.Config.Size + image.Layer.Size
	s.Lock.Images = append(s.Lock.Images, imagespec.LockedImage{
		Reference: reference, Digest: image.Index.Digest, MediaType: image.Index.MediaType, Size: size,
		Platforms: []imagespec.LockedPlatform{{Platform: "linux/amd64", Digest: image.Manifest.Digest}},
		Found:     []imagespec.Finding{{File: "app.yaml", Line: 7, Rule: "pod-spec", Class: imagespec.ClassCertain}},
	})
	return image
}

// Manifest adds a manifest.
func (s *Store) Manifest(config ocispec.Descriptor, layers ...ocispec.Descriptor) ocispec.Descriptor {
	s.tb.Helper()
	return s.JSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: layers,
	})
}

// Index adds an index.
func (s *Store) Index(manifests ...ocispec.Descriptor) ocispec.Descriptor {
	s.tb.Helper()
	return s.JSON(ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: manifests,
	})
}

// JSON adds a blob that is a JSON document.
func (s *Store) JSON(mediaType string, value any) ocispec.Descriptor {
	s.tb.Helper()
	return s.Blob(mediaType, s.marshal(value))
}

// Blob adds a blob.
func (s *Store) Blob(mediaType string, content []byte) ocispec.Descriptor {
	s.tb.Helper()
	d := describe(mediaType, content)
	s.Write(s.BlobPath(d), content)
	return d
}

// Refer adds a reference.
func (s *Store) Refer(reference string, d ocispec.Descriptor) {
	s.tb.Helper()
	ref, err := imagespec.ParseReference(reference)
	if err != nil {
		s.tb.Fatal(err)
	}
	paths, err := imagespec.RefPaths(ref)
	if err != nil {
		s.tb.Fatal(err)
	}
	d.Platform = nil
	d.Annotations = map[string]string{ocispec.AnnotationRefName: reference}
	for _, name := range paths {
		s.Write(name, s.marshal(d))
	}
}

// BlobPath is the file of a blob, relative to the store.
func (s *Store) BlobPath(d ocispec.Descriptor) string {
	s.tb.Helper()
	name, err := imagespec.BlobPath(d.Digest)
	if err != nil {
		s.tb.Fatal(err)
	}
	return name
}

// Write writes any file of the store. It appears whole, as the agent's files do, so that a store may grow while it is served.
func (s *Store) Write(name string, content []byte) {
	s.tb.Helper()
	file := filepath.Join(s.Dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		s.tb.Fatal(err)
	}
	partial := filepath.Join(s.Dir, ".partial")
	if err := os.WriteFile(partial, content, 0o644); err != nil {
		s.tb.Fatal(err)
	}
	if err := os.Rename(partial, file); err != nil {
		s.tb.Fatal(err)
	}
}

// Remove removes a file of the store.
func (s *Store) Remove(name string) {
	s.tb.Helper()
	if err := os.Remove(filepath.Join(s.Dir, name)); err != nil {
		s.tb.Fatal(err)
	}
}

func (s *Store) marshal(value any) []byte {
	s.tb.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		s.tb.Fatal(err)
	}
	return data
}

func describe(mediaType string, content []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
}
