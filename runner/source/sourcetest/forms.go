package sourcetest

import (
	"archive/tar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	oras "oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/registry/remote"
)

// Layers are those of a small image, with scripts, a runner and one embedded image.
func Layers(t testing.TB) []Layer {
	return []Layer{
		{Compression: "gzip", Tar: Tar(t,
			Entry{Name: "scripts/", Type: tar.TypeDir},
			Entry{Name: "scripts/init.sh", Content: strings.Repeat("echo init\n", 100)})},
		{Compression: "zstd", Tar: Tar(t, Entry{Name: ".kubefile/sealer-run", Content: "the runner", Mode: 0o755})},
		{Images: true, Tar: Tar(t, Embedded(t, map[string]string{"docker.io/library/nginx:1": "nginx"})...)},
	}
}

// Forms ships one image in every form, and returns the name of each.
func Forms(t *testing.T) map[string]string {
	dir := t.TempDir()
	single, multi := filepath.Join(dir, "single"), filepath.Join(dir, "multi")
	root := Layout(t, single, []string{"amd64"}, Layers(t)...)
	index := Layout(t, multi, []string{"arm64", "amd64"}, Layers(t)...)
	Archive(t, single, single+".tar")
	Archive(t, multi, multi+".tar")
	DockerArchive(t, single, single+".docker.tar", false)
	DockerArchive(t, single, single+".crane.tar", true)
	registry := httptest.NewServer(ociserver.New(ocimem.New(), nil))
	t.Cleanup(registry.Close)
	host := strings.TrimPrefix(registry.URL, "http://")
	Push(t, single, host+"/app", root, "single")
	Push(t, multi, host+"/app", index, "multi")
	return map[string]string{
		"layout":               single,
		"layout by tag":        single + ":v1",
		"layout by digest":     single + "@" + root.Digest.String(),
		"layout with index":    multi,
		"archive":              single + ".tar",
		"archive by tag":       single + ".tar:v1",
		"archive with index":   multi + ".tar",
		"docker archive":       single + ".docker.tar",
		"docker archive, gzip": single + ".crane.tar",
		"registry":             host + "/app:single",
		"registry, index":      host + "/app:multi",
		"registry, digest":     host + "/app:other@" + index.Digest.String(),
	}
}

// Push copies what root is the manifest or index of from a layout to a registry without TLS, under a name and a tag.
func Push(t *testing.T, dir, name string, root ocispec.Descriptor, tag string) {
	t.Helper()
	from, err := oci.NewFromFS(t.Context(), os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	to, err := remote.NewRepository(name)
	if err != nil {
		t.Fatal(err)
	}
	to.PlainHTTP = true
	if _, err := oras.Copy(t.Context(), from, root.Digest.String(), to, tag, oras.DefaultCopyOptions); err != nil {
		t.Fatal(err)
	}
}
