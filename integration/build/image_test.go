//go:build lab

package build

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/imagespec/storetest"
)

// image is one platform of an image as it is in a registry.
type image struct {
	manifest ocispec.Manifest
	config   ocispec.Image
	repo     *remote.Repository
}

func repository(t *testing.T, ref string) (*remote.Repository, string) {
	t.Helper()
	parsed, err := registry.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	repo, err := remote.NewRepository(parsed.Registry + "/" + parsed.Repository)
	if err != nil {
		t.Fatal(err)
	}
	repo.PlainHTTP = true
	return repo, parsed.Reference
}

// pull reads the manifest and config of an image for a platform ("linux/amd64").
func pull(t *testing.T, ref, platform string) image {
	t.Helper()
	repo, tag := repository(t, ref)
	system, arch, _ := strings.Cut(platform, "/")
	options := oras.DefaultFetchBytesOptions
	options.TargetPlatform = &ocispec.Platform{OS: system, Architecture: arch}
	_, dt, err := oras.FetchBytes(t.Context(), repo, tag, options)
	if err != nil {
		t.Fatal(err)
	}
	i := image{repo: repo}
	decode(t, dt, &i.manifest)
	decode(t, i.blob(t, i.manifest.Config), &i.config)
	return i
}

func (i image) blob(t *testing.T, desc ocispec.Descriptor) []byte {
	t.Helper()
	dt, err := content.FetchAll(t.Context(), i.repo.Blobs(), desc)
	if err != nil {
		t.Fatal(err)
	}
	return dt
}

func decode(t *testing.T, dt []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(dt, into); err != nil {
		t.Fatalf("%v: %s", err, dt)
	}
}

func (i image) describe(t *testing.T) *imagespec.Description {
	t.Helper()
	d, err := imagespec.Describe(i.config)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// split returns the layers that every host gets and those with images.
func (i image) split(t *testing.T) (rootfs, images []imagespec.Layer) {
	t.Helper()
	rootfs, images, err := imagespec.ImageLayers(i.manifest, i.config)
	if err != nil {
		t.Fatal(err)
	}
	return rootfs, images
}

func diffIDs(layers []imagespec.Layer) []digest.Digest {
	var ids []digest.Digest
	for _, l := range layers {
		ids = append(ids, l.DiffID)
	}
	return ids
}

// entry is one entry of a layer.
type entry struct {
	tar.Header
	content []byte
}

func (i image) entries(t *testing.T, desc ocispec.Descriptor) []entry {
	t.Helper()
	unzipped := decompress(t, i.blob(t, desc))
	var entries []entry
	for r := tar.NewReader(unzipped); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		dt, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, entry{*header, dt})
	}
}

// decompress knows both forms by their first bytes: BuildKit exports a layer as it did before, regardless of the option, and names it in
// two ways.
func decompress(t *testing.T, dt []byte) io.Reader {
	t.Helper()
	if bytes.HasPrefix(dt, []byte("\x28\xb5\x2f\xfd")) {
		r, err := zstd.NewReader(bytes.NewReader(dt))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		return r
	}
	r, err := gzip.NewReader(bytes.NewReader(dt))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func names(entries []entry) []string {
	var all []string
	for _, e := range entries {
		all = append(all, e.Name)
	}
	slices.Sort(all)
	return all
}

// file is the content of a file of the image; the highest layer holds.
func (i image) file(t *testing.T, name string) string {
	t.Helper()
	for _, l := range slices.Backward(i.manifest.Layers) {
		for _, e := range i.entries(t, l) {
			if e.Name == name {
				return string(e.content)
			}
		}
	}
	t.Fatalf("the image has no %s", name)
	return ""
}

// unpack writes all layers to a directory and returns it.
func (i image) unpack(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, l := range i.manifest.Layers {
		for _, e := range i.entries(t, l) {
			path := filepath.Join(dir, e.Name)
			var err error
			switch e.Typeflag {
			case tar.TypeDir:
				err = os.MkdirAll(path, 0o755)
			case tar.TypeReg:
				err = os.WriteFile(path, e.content, e.FileInfo().Mode())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// checkStore validates the embedded store and compares every image in it, byte for byte, with its source.
func (i image) checkStore(t *testing.T, references ...string) {
	t.Helper()
	fsys := os.DirFS(filepath.Join(i.unpack(t), imagespec.RegistryDir))
	lock := i.describe(t).Lock
	var locked []string
	for _, image := range lock.Images {
		locked = append(locked, image.Reference)
	}
	slices.Sort(references)
	if !slices.Equal(locked, references) {
		t.Fatalf("embedded are\n%q, wanted\n%q", locked, references)
	}
	if err := storetest.Validate(t.Context(), fsys, lock); err != nil {
		t.Fatal(err)
	}
	store := imagespec.NewStore(fsys)
	for _, image := range lock.Images {
		compare(t, store, image)
	}
}

// compare reads an image from its registry and expects every manifest and blob in the store to be the same.
func compare(t *testing.T, store *imagespec.Store, locked imagespec.LockedImage) {
	t.Helper()
	source, tag := repository(t, lab.Upstream+"/"+locked.Reference)
	top, dt, err := oras.FetchBytes(t.Context(), source, tag, oras.DefaultFetchBytesOptions)
	if err != nil {
		t.Fatal(err)
	}
	if top.Digest != locked.Digest {
		t.Errorf("%s: embedded is %s, the source has %s", locked.Reference, locked.Digest, top.Digest)
	}
	same(t, store, top, dt)
	for _, p := range locked.Platforms {
		desc, dt, err := oras.FetchBytes(t.Context(), source, p.Digest.String(), oras.DefaultFetchBytesOptions)
		if err != nil {
			t.Fatal(err)
		}
		same(t, store, desc, dt)
		var manifest ocispec.Manifest
		decode(t, dt, &manifest)
		for _, blob := range append(manifest.Layers, manifest.Config) {
			dt, err := content.FetchAll(t.Context(), source.Blobs(), blob)
			if err != nil {
				t.Fatal(err)
			}
			same(t, store, blob, dt)
		}
	}
}

func same(t *testing.T, store *imagespec.Store, desc ocispec.Descriptor, want []byte) {
	t.Helper()
	f, err := store.Open(desc.Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := io.ReadAll(f)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s has other bytes than its source (%v)", desc.Digest, err)
	}
}

// embedded are config and layers of an embedded image.
func (i image) embedded(t *testing.T, reference string) []ocispec.Descriptor {
	t.Helper()
	locked, ok := i.describe(t).Lock.Lookup(reference)
	if !ok {
		t.Fatalf("%s is not embedded", reference)
	}
	var manifest ocispec.Manifest
	decode(t, []byte(i.file(t, "registry/blobs/sha256/"+locked.Platforms[0].Digest.Encoded())), &manifest)
	return append(manifest.Layers, manifest.Config)
}

// attestations are the predicates of an image's in-toto statements, by type, and their subjects.
func attestations(t *testing.T, ref, platform string) (predicates map[string]json.RawMessage, subjects []string) {
	t.Helper()
	repo, tag := repository(t, ref)
	_, dt, err := oras.FetchBytes(t.Context(), repo, tag, oras.DefaultFetchBytesOptions)
	if err != nil {
		t.Fatal(err)
	}
	var index ocispec.Index
	decode(t, dt, &index)
	var of digest.Digest // the platform's manifest
	for _, m := range index.Manifests {
		if m.Platform != nil && m.Platform.OS+"/"+m.Platform.Architecture == platform {
			of = m.Digest
		}
	}
	predicates = map[string]json.RawMessage{}
	for _, m := range index.Manifests {
		if m.Annotations["vnd.docker.reference.type"] != "attestation-manifest" || m.Annotations["vnd.docker.reference.digest"] != of.String() {
			continue
		}
		var manifest ocispec.Manifest
		dt, err := content.FetchAll(t.Context(), repo, m)
		if err != nil {
			t.Fatal(err)
		}
		decode(t, dt, &manifest)
		for _, layer := range manifest.Layers {
			dt, err := content.FetchAll(t.Context(), repo.Blobs(), layer)
			if err != nil {
				t.Fatal(err)
			}
			var statement struct {
				PredicateType string
				Subject       []struct{ Digest map[string]string }
				Predicate     json.RawMessage
			}
			decode(t, dt, &statement)
			predicates[statement.PredicateType] = statement.Predicate
			for _, s := range statement.Subject {
				subjects = append(subjects, "sha256:"+s.Digest["sha256"])
			}
		}
	}
	for _, subject := range subjects {
		if subject != of.String() {
			t.Errorf("the subject of an attestation is %s, the manifest for %s is %s", subject, platform, of)
		}
	}
	return predicates, subjects
}
