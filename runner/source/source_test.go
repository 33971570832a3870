package source_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	oras "oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/oci"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/source/layerfs"
	"github.com/kubefile/kubefile/runner/source/sourcetest"
)

var platform = ocispec.Platform{OS: "linux", Architecture: "amd64"}

func open(t *testing.T, image string) *source.Artifact {
	t.Helper()
	artifact, err := source.Open(t.Context(), image, source.Options{Platform: platform})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { artifact.Close() })
	return artifact
}

func TestOpenReadsEveryForm(t *testing.T) {
	for form, image := range sourcetest.Forms(t) {
		t.Run(form, func(t *testing.T) {
			artifact := open(t, image)
			if got := artifact.Description.KubernetesVersion; got != "v1.34.4" {
				t.Errorf("Kubernetes version %q", got)
			}
			if artifact.Config.Architecture != "amd64" || artifact.Digest == "" {
				t.Errorf("config for %q, digest %q", artifact.Config.Architecture, artifact.Digest)
			}
			if len(artifact.RootfsLayers) != 2 || len(artifact.ImageLayers) != 1 {
				t.Fatalf("%d rootfs layers, %d image layers", len(artifact.RootfsLayers), len(artifact.ImageLayers))
			}
			if err := artifact.Verify(t.Context(), nil); err != nil {
				t.Errorf("verify: %v", err)
			}
			for i, layer := range append(artifact.RootfsLayers, artifact.ImageLayers...) {
				r, err := artifact.OpenBlob(t.Context(), layer.Descriptor)
				if err != nil {
					t.Fatal(err)
				}
				plain, err := layerfs.Decompress(r)
				if err != nil {
					t.Fatal(err)
				}
				if sum, err := digest.FromReader(plain); err != nil || sum != layer.DiffID {
					t.Errorf("layer %d: content %s, diff ID %s, %v", i, sum, layer.DiffID, err)
				}
				if err := errors.Join(plain.Close(), r.Close()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestRunnerIsExtracted(t *testing.T) {
	for form, image := range sourcetest.Forms(t) {
		t.Run(form, func(t *testing.T) {
			file, sum, size, err := open(t, image).Runner(t.Context(), t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(file)
			if err != nil || string(data) != "the runner" {
				t.Fatalf("%q, %v", data, err)
			}
			if sum != digest.FromBytes(data) || size != int64(len(data)) {
				t.Errorf("digest %s, size %d", sum, size)
			}
		})
	}
}

func TestImageWithoutRunner(t *testing.T) {
	dir := t.TempDir()
	sourcetest.Layout(t, dir, []string{"amd64"}, sourcetest.Layers(t)[0])
	if _, _, _, err := open(t, dir).Runner(t.Context(), t.TempDir()); !errors.Is(err, source.ErrNoRunner) {
		t.Fatal(err)
	}
}

func TestProgressReachesTheTotal(t *testing.T) {
	dir := t.TempDir()
	sourcetest.Layout(t, dir, []string{"amd64"}, sourcetest.Layers(t)...)
	var most, all int64
	progress := make(chan [2]int64, 1000)
	if err := open(t, dir).Verify(t.Context(), func(done, total int64) { progress <- [2]int64{done, total} }); err != nil {
		t.Fatal(err)
	}
	close(progress)
	for p := range progress {
		most, all = max(most, p[0]), p[1]
	}
	if all == 0 || most != all {
		t.Fatalf("%d of %d bytes", most, all)
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	sourcetest.Layout(t, in("image"), []string{"amd64"}, sourcetest.Layers(t)...)
	sourcetest.Layout(t, in("arm"), []string{"arm64", "s390x"}, sourcetest.Layers(t)...)
	sourcetest.Archive(t, in("image"), in("image.tar"))
	files := map[string][]byte{
		"empty.tar":   {},
		"text.tar":    []byte("this is a text, " + strings.Repeat("not an archive ", 100)),
		"image.tgz":   append([]byte{0x1f, 0x8b}, "compressed"...),
		"other.tar":   sourcetest.Tar(t, sourcetest.Entry{Name: "hello", Content: "world"}),
		"twice.tar":   sourcetest.Tar(t, sourcetest.Entry{Name: "manifest.json", Content: `[{"Config":"a","RepoTags":["x:1"]},{"Config":"b","RepoTags":["x:2"]}]`}),
		"escapes.tar": sourcetest.Tar(t, sourcetest.Entry{Name: "manifest.json", Content: `[{"Config":"../../etc/passwd","Layers":[]}]`}),
	}
	for name, data := range files {
		if err := os.WriteFile(in(name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	notCluster(t, in("plain"))
	if err := os.Mkdir(in("empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	registry := httptest.NewServer(ociserver.New(ocimem.New(), nil))
	defer registry.Close()
	host := strings.TrimPrefix(registry.URL, "http://")
	for _, test := range []struct {
		image string
		want  error
		says  string
	}{
		{in("missing.tar"), source.ErrNotFound, "no such file or directory; check the path, or write REGISTRY/NAME:TAG"},
		{"missing.tar", source.ErrNotFound, "no such file or directory; check the path, or write REGISTRY/NAME:TAG"},
		{in("image") + ":v2", source.ErrNotFound, `no image "v2" in it; there are: registry.example.com/app:v1`},
		{in("empty"), source.ErrNotFound, "neither oci-layout nor manifest.json"},
		{in("other.tar"), source.ErrNotFound, "neither oci-layout nor manifest.json"},
		{in("empty.tar"), source.ErrDamaged, "ends early"},
		{in("text.tar"), source.ErrDamaged, "no tar archive"},
		{in("image.tgz"), nil, "gzip -d"},
		{in("twice.tar"), source.ErrAmbiguous, "x:1, x:2; choose one by PATH:TAG"},
		{in("escapes.tar"), source.ErrDamaged, "passwd"},
		{in("arm"), source.ErrPlatform, "linux/amd64; it has: linux/arm64, linux/s390x"},
		{in("plain"), imagespec.ErrNotClusterImage, "docker buildx build"},
		{"/dev/null", nil, "save it to a file first"},
		{"not/a:reference:at-all", source.ErrNotFound, "write the path of a file or directory, or REGISTRY/NAME:TAG"},
		{host + "/app:v1", source.ErrNotFound, "neither a file nor an image of the registry " + host + " (tried " + host + "/app:v1); write REGISTRY/NAME:TAG, or the path"},
		{"127.0.0.1:1/app:v1", nil, "the registry 127.0.0.1:1 cannot be reached (tried 127.0.0.1:1/app:v1)"},
		{"127.0.0.1:1/app:v1", nil, "; write REGISTRY/NAME:TAG, or the path of a file or directory"},
	} {
		t.Run(filepath.Base(test.image), func(t *testing.T) {
			_, err := source.Open(t.Context(), test.image, source.Options{Platform: platform})
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Fatalf("error %v, want %v", err, test.want)
			}
			if !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), test.image) {
				t.Errorf("%q does not say %q and %q", err, test.image, test.says)
			}
		})
	}
}

// notCluster writes an image that no Kubefile built.
func notCluster(t *testing.T, dir string) {
	store, err := oci.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	config := []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`)
	configDescriptor, err := oras.PushBytes(t.Context(), store, ocispec.MediaTypeImageConfig, config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = oras.TagBytes(t.Context(), store, ocispec.MediaTypeImageManifest, fmt.Appendf(nil,
		`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[]}`,
		ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig, configDescriptor.Digest, configDescriptor.Size), "v1")
	if err != nil {
		t.Fatal(err)
	}
}

// TestMemoryIsBounded reads an archive that is larger than the memory allowed.
func TestMemoryIsBounded(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "big.tar")
	sourcetest.Layout(t, filepath.Join(dir, "big"), []string{"amd64"}, sourcetest.Layer{Big: 100 << 20})
	sourcetest.Archive(t, filepath.Join(dir, "big"), file)
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := openAndVerify(t, file); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 10<<20 {
		t.Fatalf("verifying 100 MiB allocated %d MiB", grown>>20)
	}
}
