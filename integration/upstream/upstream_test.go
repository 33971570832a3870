package upstream

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/gzip"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/memory"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/kubefile/kubefile/integration/upstream/image"
)

// start serves a stand-in and returns its host and port.
func start(t *testing.T, options Options) string {
	t.Helper()
	server, err := New(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	t.Cleanup(func() {
		listener.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return strings.TrimPrefix(listener.URL, "http://")
}

func repositoryOf(t *testing.T, address, name string) *remote.Repository {
	t.Helper()
	repo, err := remote.NewRepository(address + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	repo.PlainHTTP = true
	return repo
}

// pull copies an image, all of it, and returns its root; oras checks every digest.
func pull(t *testing.T, address, name, tagOrDigest string) (*memory.Store, ocispec.Descriptor) {
	t.Helper()
	store := memory.New()
	desc, err := oras.Copy(t.Context(), repositoryOf(t, address, name), tagOrDigest, store, "pulled", oras.DefaultCopyOptions)
	if err != nil {
		t.Fatalf("pulling %s %s: %v", name, tagOrDigest, err)
	}
	return store, desc
}

func decode[T any](t *testing.T, store content.Fetcher, desc ocispec.Descriptor) T {
	t.Helper()
	data, err := content.FetchAll(t.Context(), store, desc)
	if err != nil {
		t.Fatal(err)
	}
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestGeneratedImageHasTwoPlatformsAndAttestations(t *testing.T) {
	store, desc := pull(t, start(t, Options{}), "quay.io/example/app", "v1")
	if desc.MediaType != ocispec.MediaTypeImageIndex {
		t.Fatalf("media type %s", desc.MediaType)
	}
	index := decode[ocispec.Index](t, store, desc)
	var platforms []string
	for _, child := range index.Manifests {
		platforms = append(platforms, child.Platform.OS+"/"+child.Platform.Architecture)
	}
	want := []string{"linux/amd64", "linux/arm64", "unknown/unknown", "unknown/unknown"}
	if !slices.Equal(platforms, want) {
		t.Fatalf("platforms %v, want %v", platforms, want)
	}
	for i, attestation := range index.Manifests[2:] {
		if got := attestation.Annotations["vnd.docker.reference.type"]; got != "attestation-manifest" {
			t.Errorf("child %d has the reference type %q", i+2, got)
		}
		if got := attestation.Annotations["vnd.docker.reference.digest"]; got != index.Manifests[i].Digest.String() {
			t.Errorf("child %d attests %s, want %s", i+2, got, index.Manifests[i].Digest)
		}
	}
	manifest := decode[ocispec.Manifest](t, store, index.Manifests[0])
	config := decode[ocispec.Image](t, store, manifest.Config)
	if config.Architecture != "amd64" || config.OS != "linux" {
		t.Errorf("config is of %s/%s", config.OS, config.Architecture)
	}
	if len(manifest.Layers) != 2 || len(config.RootFS.DiffIDs) != 2 || len(config.History) != 2 {
		t.Fatalf("%d layers, %d diff IDs, %d history entries, want 2 each",
			len(manifest.Layers), len(config.RootFS.DiffIDs), len(config.History))
	}
	data, err := content.FetchAll(t.Context(), store, manifest.Layers[1])
	if err != nil {
		t.Fatal(err)
	}
	if got := lastFile(t, data); got != "quay.io/example/app:v1 amd64\n" {
		t.Errorf("the second layer says %q", got)
	}
}

// lastFile returns the content of the last file of a compressed layer.
func lastFile(t *testing.T, layer []byte) string {
	t.Helper()
	zr, err := gzip.NewReader(bytes.NewReader(layer))
	if err != nil {
		t.Fatal(err)
	}
	var last []byte
	for tr := tar.NewReader(zr); ; {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return string(last)
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Uid != 0 || header.Gid != 0 || header.ModTime.Unix() != 0 {
			t.Errorf("%s has owner %d:%d and time %v", header.Name, header.Uid, header.Gid, header.ModTime)
		}
		if last, err = io.ReadAll(tr); err != nil {
			t.Fatal(err)
		}
	}
}

func TestGeneratedImageDependsOnTheReferenceAlone(t *testing.T) {
	one, two := start(t, Options{}), start(t, Options{})
	digests := make(map[string]string)
	for _, tag := range []string{"v1", "v2"} {
		for _, name := range []string{"docker.io/library/app", "localhost/app"} {
			_, desc := pull(t, one, name, tag)
			if _, again := pull(t, two, name, tag); again.Digest != desc.Digest {
				t.Errorf("%s:%s is %s on one server and %s on another", name, tag, desc.Digest, again.Digest)
			}
			digests[desc.Digest.String()] = tag
		}
	}
	if len(digests) != 4 {
		t.Errorf("4 references have %d digests", len(digests))
	}
}

func TestDigestAlone(t *testing.T) {
	address := start(t, Options{})
	if _, err := repositoryOf(t, address, "gcr.io/a/b").Resolve(t.Context(), "sha256:"+strings.Repeat("0", 64)); !errors.Is(err, errdef.ErrNotFound) {
		t.Fatalf("a digest of nothing: %v", err)
	}
	_, latest := pull(t, start(t, Options{}), "gcr.io/a/b", "latest")
	pull(t, address, "gcr.io/a/b", latest.Digest.String())
	if _, err := repositoryOf(t, address, "gcr.io/a/other").Resolve(t.Context(), latest.Digest.String()); !errors.Is(err, errdef.ErrNotFound) {
		t.Fatalf("a digest of another repository: %v", err)
	}
}

func TestReferencesSurviveARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "references")
	_, desc := pull(t, start(t, Options{References: file}), "ghcr.io/a/b", "v7")
	pull(t, start(t, Options{References: file}), "ghcr.io/a/b", desc.Digest.String())
}

func TestMisbehaviour(t *testing.T) {
	address := start(t, Options{})
	for _, c := range []struct {
		name, tag string
		status    int
	}{
		{"docker.io/example/does-not-exist", "v1", http.StatusNotFound},
		{"docker.io/example/app", "does-not-exist-v1", http.StatusNotFound},
		{"docker.io/lab-private/app", "v1", http.StatusUnauthorized},
		{"docker.io/nginx", "v1", http.StatusNotFound}, // clients ask for library/nginx
		{"docker.io/Upper/case", "v1", http.StatusNotFound},
		{"docker.io/example/app", "-v1", http.StatusNotFound},
		{"example/app", "v1", http.StatusNotFound},
	} {
		answer := get(t, http.MethodGet, address, "/v2/"+c.name+"/manifests/"+c.tag, ocispec.MediaTypeImageIndex)
		if answer.StatusCode != c.status {
			t.Errorf("%s:%s: %s, want %d", c.name, c.tag, answer.Status, c.status)
		}
		var body struct {
			Errors []struct{ Code, Message string }
		}
		if err := json.NewDecoder(answer.Body).Decode(&body); err != nil || len(body.Errors) != 1 || body.Errors[0].Code == "" {
			t.Errorf("%s:%s: error body %+v, %v", c.name, c.tag, body, err)
		}
	}
}

func get(t *testing.T, method, address, path string, accept ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header["Accept"] = accept
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

func TestImageForAnotherPlatform(t *testing.T) {
	store, desc := pull(t, start(t, Options{}), "quay.io/lab-arm64/app", "v1")
	for _, child := range decode[ocispec.Index](t, store, desc).Manifests {
		if child.Platform.Architecture == "amd64" {
			t.Errorf("there is a child for %+v", child.Platform)
		}
	}
}

func FuzzRequest(f *testing.F) {
	for _, path := range []string{"/v2/", "/v2/docker.io/library/app/manifests/v1", "/v2/a/b/blobs/sha256:x", "/files/../x"} {
		f.Add(path, "*/*")
	}
	server, err := New(f.Context(), Options{Files: fstest.MapFS{}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path, accept string) {
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: path}, Header: http.Header{"Accept": {accept}}}
		answer := httptest.NewRecorder()
		server.ServeHTTP(answer, r.WithContext(t.Context()))
		if answer.Code >= 500 {
			t.Errorf("%q: %d %s", path, answer.Code, answer.Body)
		}
	})
}

func TestAcceptIsStrictForOCIManifestsOnly(t *testing.T) {
	address := start(t, Options{})
	_, manifest := pull(t, address, "docker.io/lab-single/app", "v1")
	if manifest.MediaType != ocispec.MediaTypeImageManifest {
		t.Fatalf("lab-single is a %s", manifest.MediaType)
	}
	_, list := pull(t, address, "docker.io/lab-docker/app", "v1")
	if want := "application/vnd.docker.distribution.manifest.list.v2+json"; list.MediaType != want {
		t.Fatalf("lab-docker is a %s", list.MediaType)
	}
	_, index := pull(t, address, "docker.io/example/app", "v1")
	for _, c := range []struct {
		path   string
		accept []string
		status int
	}{
		{"lab-single/app/manifests/v1", []string{"*/*"}, http.StatusNotFound},
		{"lab-single/app/manifests/v1", nil, http.StatusNotFound},
		{"lab-single/app/manifests/v1", []string{ocispec.MediaTypeImageIndex}, http.StatusNotFound},
		{"lab-single/app/manifests/v1", []string{"text/plain, " + ocispec.MediaTypeImageManifest + ";q=0.5"}, http.StatusOK},
		{"lab-single/app/manifests/" + manifest.Digest.String(), []string{"*/*"}, http.StatusNotFound},
		{"lab-docker/app/manifests/v1", []string{"*/*"}, http.StatusOK},
		{"example/app/manifests/" + index.Digest.String(), []string{"*/*"}, http.StatusOK},
		{"example/app/blobs/" + index.Digest.String(), []string{"*/*"}, http.StatusNotFound},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			if answer := get(t, method, address, "/v2/docker.io/"+c.path, c.accept...); answer.StatusCode != c.status {
				t.Errorf("%s %s with %q: %s, want %d", method, c.path, c.accept, answer.Status, c.status)
			}
		}
	}
}

func TestHead(t *testing.T) {
	address := start(t, Options{})
	_, desc := pull(t, address, "docker.io/example/app", "v1")
	answer := get(t, http.MethodHead, address, "/v2/docker.io/example/app/manifests/v1?ns=docker.io")
	if got := answer.Header.Get("Docker-Content-Digest"); got != desc.Digest.String() {
		t.Errorf("digest %s, want %s", got, desc.Digest)
	}
	if answer.ContentLength != desc.Size || answer.Header.Get("Content-Type") != desc.MediaType {
		t.Errorf("length %d, type %s, want %d, %s", answer.ContentLength, answer.Header.Get("Content-Type"), desc.Size, desc.MediaType)
	}
}

func TestRegistryWithAPort(t *testing.T) {
	answer := get(t, http.MethodHead, start(t, Options{}), "/v2/localhost:5000/app/manifests/v1", ocispec.MediaTypeImageIndex)
	if answer.StatusCode != http.StatusOK {
		t.Error(answer.Status)
	}
}

func TestNothingCanBePushed(t *testing.T) {
	address := start(t, Options{})
	repo := repositoryOf(t, address, "docker.io/example/app")
	if err := repo.Push(t.Context(), content.NewDescriptorFromBytes("text/plain", []byte("x")), strings.NewReader("x")); err == nil {
		t.Error("a push went through")
	}
}

func TestLayoutComesFirst(t *testing.T) {
	dir := t.TempDir()
	desc := writeLayout(t, dir, "registry.example.com/real:v1")
	address := start(t, Options{Layout: dir})
	if _, got := pull(t, address, "registry.example.com/real", "v1"); got.Digest != desc.Digest {
		t.Errorf("served %s, want %s", got.Digest, desc.Digest)
	}
	pull(t, address, "registry.example.com/real", desc.Digest.String())
	if _, got := pull(t, address, "registry.example.com/real", "v2"); got.Digest == desc.Digest {
		t.Error("another tag has the same image")
	}
}

func writeLayout(t *testing.T, dir, reference string) ocispec.Descriptor {
	t.Helper()
	store, err := oci.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	var blob bytes.Buffer
	layer, err := image.WriteLayer(&blob, image.Gzip, []image.Entry{{Path: "hello", Mode: 0o755, Data: []byte("hello")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Push(t.Context(), layer.Descriptor, &blob); err != nil {
		t.Fatal(err)
	}
	desc, err := image.Push(t.Context(), store, image.Platform{Platform: amd64, Layers: []image.Layer{layer}})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Tag(t.Context(), desc, reference); err != nil {
		t.Fatal(err)
	}
	return desc
}

func TestFilesAndAccessLog(t *testing.T) {
	var log bytes.Buffer
	address := start(t, Options{
		Files:     fstest.MapFS{"dashboard/recommended.yaml": {Data: []byte("kind: Namespace\n")}},
		AccessLog: &log,
	})
	body, err := io.ReadAll(get(t, http.MethodGet, address, "/files/dashboard/recommended.yaml").Body)
	if err != nil || string(body) != "kind: Namespace\n" {
		t.Fatalf("%q, %v", body, err)
	}
	get(t, http.MethodHead, address, "/v2/docker.io/example/app/manifests/v1?ns=docker.io", "*/*")
	var got []Access
	for decoder := json.NewDecoder(&log); decoder.More(); {
		var access Access
		if err := decoder.Decode(&access); err != nil {
			t.Fatal(err)
		}
		got = append(got, access)
	}
	if len(got) != 2 {
		t.Fatalf("%d accesses logged, want 2", len(got))
	}
	if a := got[0]; a.Path != "/files/dashboard/recommended.yaml" || a.Status != 200 || a.Bytes != int64(len(body)) {
		t.Errorf("first access %+v", a)
	}
	if a := got[1]; a.Method != "HEAD" || a.Query != "ns=docker.io" || a.Bytes != 0 || !slices.Equal(a.Accept, []string{"*/*"}) {
		t.Errorf("second access %+v", a)
	}
}

func TestBrokenLayoutIsRefused(t *testing.T) {
	if _, err := New(context.Background(), Options{Layout: t.TempDir()}); err == nil {
		t.Error("a directory without a layout was taken")
	}
}
