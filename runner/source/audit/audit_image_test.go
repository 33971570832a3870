package audit_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/source/sourcetest"
)

// embedded are the entries of an image layer with two images.
func embedded(t *testing.T) []sourcetest.Entry {
	return sourcetest.Embedded(t, map[string]string{"quay.io/a:1": "content of a", "quay.io/b:1": "content of b"})
}

// whole makes a layout with everything that an image has. The lock is that of listed, whatever is in the store.
func whole(t *testing.T, stored, listed []sourcetest.Entry, more ...sourcetest.Entry) string {
	t.Helper()
	dir := t.TempDir()
	sourcetest.Layout(t, dir, []string{"amd64"}, sourcetest.Layer{Tar: sourcetest.Tar(t)}, sourcetest.Layer{Images: true, Tar: sourcetest.Tar(t, listed...)})
	lock := open(t, dir).Description.Lock
	file, err := lock.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	label, err := lock.Label()
	if err != nil {
		t.Fatal(err)
	}
	rootfs := append([]sourcetest.Entry{
		{Name: ".kubefile/sealer-run", Content: "the runner", Mode: 0o755},
		{Name: "registry/images.lock.json", Content: string(file)},
	}, more...)
	dir = t.TempDir()
	sourcetest.Layout(t, dir, []string{"amd64"}, sourcetest.Layer{Compression: "gzip", Tar: sourcetest.Tar(t, rootfs...)},
		sourcetest.Layer{Images: true, Compression: "zstd", Tar: sourcetest.Tar(t, stored...)})
	rewrite(t, dir, func(_ *ocispec.Manifest, config *ocispec.Image) { config.Config.Labels[imagespec.LabelImages] = label })
	return dir
}

// rewrite changes manifest and config of the only image of a layout, and everything that leads to them.
func rewrite(t *testing.T, dir string, change func(*ocispec.Manifest, *ocispec.Image)) {
	t.Helper()
	var index ocispec.Index
	var manifest ocispec.Manifest
	var config ocispec.Image
	readJSON(t, filepath.Join(dir, "index.json"), &index)
	readJSON(t, blobFile(dir, index.Manifests[0].Digest), &manifest)
	readJSON(t, blobFile(dir, manifest.Config.Digest), &config)
	old := []digest.Digest{index.Manifests[0].Digest, manifest.Config.Digest}
	change(&manifest, &config)
	if manifest.Config.Digest == old[1] {
		manifest.Config.Digest, manifest.Config.Size = writeJSON(t, dir, config)
	}
	index.Manifests[0].Digest, index.Manifests[0].Size = writeJSON(t, dir, manifest)
	for _, blob := range old {
		if blob != manifest.Config.Digest && blob != index.Manifests[0].Digest {
			os.Remove(blobFile(dir, blob))
		}
	}
	data, err := json.Marshal(index)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "index.json"), data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func blobFile(dir string, d digest.Digest) string {
	return filepath.Join(dir, "blobs", "sha256", d.Encoded())
}

func readJSON(t *testing.T, file string, into any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func writeJSON(t *testing.T, dir string, value any) (digest.Digest, int64) {
	t.Helper()
	data, err := json.Marshal(value)
	if err == nil {
		err = os.WriteFile(blobFile(dir, digest.FromBytes(data)), data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return digest.FromBytes(data), int64(len(data))
}
