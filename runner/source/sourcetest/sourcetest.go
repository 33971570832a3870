// Package sourcetest makes small cluster images for tests, in every form that a
// tool would ship them in.
package sourcetest

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
)

// Layer is one layer of an image.
type Layer struct {
	Tar         []byte // uncompressed; see [Tar]
	Big         int64  // instead of Tar: one file "big" of so many bytes that do not compress
	Compression string // "", "gzip" or "zstd"
	Images      bool   // marked as holding embedded images only
}

// Entry is a file in a tar. Type defaults to a regular file, Mode to 0644 or 0755.
type Entry struct {
	Name, Content, Link string
	Type                byte
	Mode                int64
}

// Tar makes an uncompressed tar.
func Tar(tb testing.TB, entries ...Entry) []byte {
	tb.Helper()
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for _, e := range entries {
		header := &tar.Header{Name: e.Name, Typeflag: e.Type, Linkname: e.Link, Size: int64(len(e.Content)), Mode: e.Mode}
		if e.Type == 0 {
			header.Typeflag = tar.TypeReg
		}
		if e.Mode == 0 {
			header.Mode = 0o644
			if e.Type == tar.TypeDir {
				header.Mode = 0o755
			}
		}
		must(tb, w.WriteHeader(header))
		_, err := w.Write([]byte(e.Content))
		must(tb, err)
	}
	must(tb, w.Close())
	return buffer.Bytes()
}

// Embedded makes the entries of a layer that embeds one image per reference: a
// config, one layer of the given content, and a manifest.
func Embedded(tb testing.TB, images map[string]string) []Entry {
	tb.Helper()
	entries := []Entry{
		{Name: "registry/", Type: tar.TypeDir},
		{Name: "registry/oci-layout", Content: `{"imageLayoutVersion":"1.0.0"}`},
	}
	written := make(map[digest.Digest]bool)
	blob := func(mediaType string, data []byte) ocispec.Descriptor {
		d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
		if !written[d.Digest] {
			written[d.Digest] = true
			entries = append(entries, Entry{Name: "registry/blobs/sha256/" + d.Digest.Encoded(), Content: string(data)})
		}
		return d
	}
	for _, name := range slices.Sorted(maps.Keys(images)) {
		manifest := blob(ocispec.MediaTypeImageManifest, encode(tb, ocispec.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2},
			MediaType: ocispec.MediaTypeImageManifest,
			Config:    blob(ocispec.MediaTypeImageConfig, []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`)),
			Layers:    []ocispec.Descriptor{blob(ocispec.MediaTypeImageLayer, []byte(images[name]))},
		}))
		ref, err := imagespec.ParseReference(name)
		must(tb, err)
		files, err := imagespec.RefPaths(ref)
		must(tb, err)
		for _, file := range files {
			entries = append(entries, Entry{Name: path.Join("registry", file), Content: string(encode(tb, manifest))})
		}
	}
	return entries
}

// Layout writes an OCI layout with one cluster image for each architecture, all of
// the same layers, into dir. More than one architecture makes an index.
func Layout(tb testing.TB, dir string, architectures []string, layers ...Layer) ocispec.Descriptor {
	tb.Helper()
	return writeLayout(tb, dir, map[string]string{
		imagespec.LabelKind: imagespec.KindCluster, imagespec.LabelKubernetesVersion: "v1.34.4",
	}, architectures, layers)
}

// AppLayout is [Layout] with application images.
func AppLayout(tb testing.TB, dir string, architectures []string, layers ...Layer) ocispec.Descriptor {
	tb.Helper()
	return writeLayout(tb, dir, map[string]string{imagespec.LabelKind: imagespec.KindApp}, architectures, layers)
}

func writeLayout(tb testing.TB, dir string, labels map[string]string, architectures []string, layers []Layer) ocispec.Descriptor {
	tb.Helper()
	must(tb, os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755))
	var manifests []ocispec.Descriptor
	for _, architecture := range architectures {
		d := writeImage(tb, dir, labels, architecture, layers)
		if len(architectures) > 1 {
			d.Platform = &ocispec.Platform{OS: "linux", Architecture: architecture}
		}
		manifests = append(manifests, d)
	}
	root := manifests[0]
	root.ArtifactType = ocispec.MediaTypeImageConfig // as crane does it
	if len(manifests) > 1 {
		// As BuildKit does it, with an attestation beside the images.
		attestation := writeBlob(tb, dir, ocispec.MediaTypeImageManifest, encode(tb, ocispec.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
			Config: writeBlob(tb, dir, ocispec.MediaTypeImageConfig, []byte(`{"architecture":"unknown","os":"unknown"}`)),
		}))
		attestation.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
		attestation.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
		root = writeBlob(tb, dir, ocispec.MediaTypeImageIndex, encode(tb, ocispec.Index{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: append(manifests, attestation),
		}))
	}
	root.Annotations = map[string]string{ocispec.AnnotationRefName: "v1", "io.containerd.image.name": "registry.example.com/app:v1"}
	write(tb, filepath.Join(dir, ocispec.ImageLayoutFile), []byte(`{"imageLayoutVersion":"1.0.0"}`))
	write(tb, filepath.Join(dir, ocispec.ImageIndexFile), encode(tb, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []ocispec.Descriptor{root},
	}))
	root.Annotations, root.ArtifactType = nil, ""
	return root
}

// writeImage writes the blobs of an image for one architecture.
func writeImage(tb testing.TB, dir string, labels map[string]string, architecture string, layers []Layer) ocispec.Descriptor {
	config := ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: architecture},
		Config:   ocispec.ImageConfig{Labels: maps.Clone(labels)},
		RootFS:   ocispec.RootFS{Type: "layers"},
	}
	config.Config.Labels[imagespec.LabelVersion] = imagespec.Version
	if lock := lockOf(tb, architecture, layers); lock != "" {
		config.Config.Labels[imagespec.LabelImages] = lock
	}
	manifest := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for _, layer := range layers {
		descriptor, diffID := writeLayer(tb, dir, layer)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, diffID)
		history := ocispec.History{CreatedBy: "test"}
		if layer.Images {
			history.Comment = imagespec.HistoryImages
		}
		config.History = append(config.History, history)
		manifest.Layers = append(manifest.Layers, descriptor)
	}
	manifest.Config = writeBlob(tb, dir, ocispec.MediaTypeImageConfig, encode(tb, config))
	return writeBlob(tb, dir, ocispec.MediaTypeImageManifest, encode(tb, manifest))
}

// lockOf lists the references of the image layers, as the label wants it. There is none for references that no lock could have.
func lockOf(tb testing.TB, architecture string, layers []Layer) string {
	lock := imagespec.NewLock("linux/" + architecture)
	listed := map[string]bool{}
	for _, layer := range slices.Backward(layers) {
		entries := tar.NewReader(bytes.NewReader(layer.Tar))
		for layer.Images {
			header, err := entries.Next()
			if err != nil {
				break
			}
			name, inStore := strings.CutPrefix(path.Clean(header.Name), imagespec.RegistryDir+"/")
			full, err := imagespec.RefFromPath(name)
			if !inStore || err != nil || listed[full] {
				continue
			}
			d, err := imagespec.ReadRef(name, entries)
			if err != nil {
				return ""
			}
			listed[full] = true
			lock.Images = append(lock.Images, imagespec.LockedImage{Reference: full, Digest: d.Digest, MediaType: d.MediaType, Size: d.Size,
				Platforms: []imagespec.LockedPlatform{{Platform: "linux/" + architecture, Digest: d.Digest}}})
		}
	}
	if len(lock.Images) == 0 {
		return ""
	}
	label, err := lock.Label()
	must(tb, err)
	return label
}

// writeLayer writes a layer as it is shipped.
func writeLayer(tb testing.TB, dir string, layer Layer) (ocispec.Descriptor, digest.Digest) {
	f, err := os.CreateTemp(dir, "layer")
	must(tb, err)
	defer f.Close()
	sum, diffID := digest.Canonical.Digester(), digest.Canonical.Digester()
	d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer}
	var w io.WriteCloser = nopCloser{io.MultiWriter(f, sum.Hash())}
	switch layer.Compression {
	case "gzip":
		d.MediaType, w = ocispec.MediaTypeImageLayerGzip, gzip.NewWriter(w)
	case "zstd":
		d.MediaType = ocispec.MediaTypeImageLayerZstd
		w, err = zstd.NewWriter(w)
		must(tb, err)
	}
	plain := io.MultiWriter(w, diffID.Hash())
	if layer.Big > 0 {
		t := tar.NewWriter(plain)
		must(tb, t.WriteHeader(&tar.Header{Name: "big", Mode: 0o644, Size: layer.Big, Typeflag: tar.TypeReg}))
		_, err = io.CopyN(t, rand.NewChaCha8([32]byte{}), layer.Big)
		must(tb, err)
		must(tb, t.Close())
	} else {
		_, err = plain.Write(layer.Tar)
		must(tb, err)
	}
	must(tb, w.Close())
	info, err := f.Stat()
	must(tb, err)
	d.Digest, d.Size = sum.Digest(), info.Size()
	must(tb, os.Rename(f.Name(), filepath.Join(dir, "blobs", "sha256", d.Digest.Encoded())))
	return d, diffID.Digest()
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// Archive packs a layout directory into an OCI archive.
func Archive(tb testing.TB, dir, file string) {
	tb.Helper()
	f, err := os.Create(file)
	must(tb, err)
	w := tar.NewWriter(f)
	must(tb, w.AddFS(os.DirFS(dir)))
	must(tb, w.Close())
	must(tb, f.Close())
}

// DockerArchive packs the image of a layout directory the way `docker save` did
// before it wrote OCI layouts: uncompressed layers, found by manifest.json.
// With compressed set, the layers are as crane writes them.
func DockerArchive(tb testing.TB, dir, file string, compressed bool) {
	tb.Helper()
	var index ocispec.Index
	decode(tb, read(tb, filepath.Join(dir, ocispec.ImageIndexFile)), &index)
	var manifest ocispec.Manifest
	decode(tb, readBlob(tb, dir, index.Manifests[0].Digest), &manifest)
	config := manifest.Config.Digest.Encoded() + ".json"
	entries := []Entry{{Name: config, Content: string(readBlob(tb, dir, manifest.Config.Digest))}}
	var layers []string
	for i, layer := range manifest.Layers {
		data := readBlob(tb, dir, layer.Digest)
		name := layer.Digest.Encoded() + ".tar.gz"
		if !compressed {
			data = uncompress(tb, layer.MediaType, data)
			name = layer.Digest.Encoded() + "/layer.tar"
		}
		entries = append(entries, Entry{Name: name, Content: string(data)})
		if i == 0 { // Docker writes a layer once and links to it
			link := "linked/layer.tar"
			entries = append(entries, Entry{Name: link, Type: tar.TypeSymlink, Link: "../" + name})
			name = link
		}
		layers = append(layers, name)
	}
	entries = append(entries, Entry{Name: "manifest.json", Content: string(encode(tb, []any{
		map[string]any{"Config": config, "RepoTags": []string{"registry.example.com/app:v1"}, "Layers": layers},
	}))})
	write(tb, file, Tar(tb, entries...))
}

func uncompress(tb testing.TB, mediaType string, data []byte) []byte {
	var r io.Reader = bytes.NewReader(data)
	var err error
	switch mediaType {
	case ocispec.MediaTypeImageLayerGzip:
		r, err = gzip.NewReader(r)
	case ocispec.MediaTypeImageLayerZstd:
		r, err = zstd.NewReader(r)
	}
	must(tb, err)
	plain, err := io.ReadAll(r)
	must(tb, err)
	return plain
}

func writeBlob(tb testing.TB, dir, mediaType string, data []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	write(tb, filepath.Join(dir, "blobs", "sha256", d.Digest.Encoded()), data)
	return d
}

func readBlob(tb testing.TB, dir string, d digest.Digest) []byte {
	return read(tb, filepath.Join(dir, "blobs", "sha256", d.Encoded()))
}

func write(tb testing.TB, file string, data []byte) { must(tb, os.WriteFile(file, data, 0o644)) }

func read(tb testing.TB, file string) []byte {
	data, err := os.ReadFile(file)
	must(tb, err)
	return data
}

func encode(tb testing.TB, v any) []byte {
	data, err := json.Marshal(v)
	must(tb, err)
	return data
}

func decode(tb testing.TB, data []byte, v any) { must(tb, json.Unmarshal(data, v)) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
