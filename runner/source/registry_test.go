package source_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"

	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/source/sourcetest"
)

// TestRegistryThatBreaksOff has a registry end every answer early: the download
// goes on where it broke.
func TestRegistryThatBreaksOff(t *testing.T) {
	dir := t.TempDir()
	big := sourcetest.Layer{Tar: sourcetest.Tar(t, sourcetest.Entry{Name: "big", Content: strings.Repeat("0123456789abcdef", 20_000)})}
	root := sourcetest.Layout(t, dir, []string{"amd64"}, big)
	registry := ociserver.New(ocimem.New(), nil)
	broken := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			w = &shortWriter{ResponseWriter: w, left: 100_000, broken: &broken}
			http.ServeFile(w, r, filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(path.Base(r.URL.Path), "sha256:")))
			return
		}
		registry.ServeHTTP(w, r)
	}))
	defer server.Close()
	name := strings.TrimPrefix(server.URL, "http://") + "/app"
	sourcetest.Push(t, dir, name, root, "v1")
	artifact := open(t, name+":v1")
	r, err := artifact.OpenBlob(t.Context(), artifact.RootfsLayers[0].Descriptor)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := io.Copy(io.Discard, r); err != nil || n != int64(len(big.Tar)) {
		t.Fatalf("%d of %d bytes: %v", n, len(big.Tar), err)
	}
	if broken < 3 {
		t.Fatalf("the registry broke off %d times", broken)
	}
}

// shortWriter ends an answer after some bytes, as a lost connection does.
type shortWriter struct {
	http.ResponseWriter
	left   int
	broken *int
}

func (s *shortWriter) Write(p []byte) (int, error) {
	if len(p) > s.left {
		s.ResponseWriter.Write(p[:s.left])
		*s.broken++
		panic(http.ErrAbortHandler)
	}
	s.left -= len(p)
	return s.ResponseWriter.Write(p)
}

// terse is an answer without the digest of its content, and without its length.
type terse struct {
	http.ResponseWriter
	began bool
}

func (w *terse) WriteHeader(status int) {
	w.began = true
	w.Header().Del("Docker-Content-Digest")
	w.Header().Del("Content-Length")
	w.ResponseWriter.WriteHeader(status)
	w.ResponseWriter.(http.Flusher).Flush()
}

func (w *terse) Write(p []byte) (int, error) {
	if !w.began {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// TestRegistryThatSaysLittle: an image is opened by tag and by digest where HEAD is refused, and digest and length are left out.
func TestRegistryThatSaysLittle(t *testing.T) {
	for _, head := range []int{http.StatusOK, http.StatusMethodNotAllowed, http.StatusForbidden} {
		t.Run(http.StatusText(head), func(t *testing.T) {
			dir := t.TempDir()
			root := sourcetest.Layout(t, dir, []string{"amd64", "arm64"}, sourcetest.Layers(t)...)
			registry := ociserver.New(ocimem.New(), nil)
			pushed := false
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if pushed && strings.Contains(r.URL.Path, "/manifests/") {
					if r.Method == http.MethodHead && head != http.StatusOK {
						w.WriteHeader(head)
						return
					}
					w = &terse{ResponseWriter: w}
				}
				registry.ServeHTTP(w, r)
			}))
			defer server.Close()
			name := strings.TrimPrefix(server.URL, "http://") + "/app"
			sourcetest.Push(t, dir, name, root, "v1")
			pushed = true
			for _, image := range []string{name + ":v1", name + "@" + root.Digest.String()} {
				if artifact := open(t, image); len(artifact.RootfsLayers) == 0 {
					t.Errorf("%s has no layers", image)
				}
			}
		})
	}
}

func TestRegistryThatLies(t *testing.T) {
	dir := t.TempDir()
	root := sourcetest.Layout(t, dir, []string{"amd64"}, sourcetest.Layers(t)...)
	registry := ociserver.New(ocimem.New(), nil)
	lie := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if lie != "" && strings.Contains(r.URL.Path, lie) {
			io.WriteString(w, "other bytes")
			return
		}
		registry.ServeHTTP(w, r)
	}))
	defer server.Close()
	name := strings.TrimPrefix(server.URL, "http://") + "/app"
	sourcetest.Push(t, dir, name, root, "v1")
	artifact := open(t, name+":v1")
	layer := artifact.RootfsLayers[0].Descriptor
	lie = layer.Digest.String()
	r, err := artifact.OpenBlob(t.Context(), layer)
	if err == nil {
		defer r.Close()
		_, err = io.Copy(io.Discard, r)
	}
	if err == nil || !strings.Contains(err.Error(), name) {
		t.Fatalf("other bytes were taken for layer %s: %v", layer.Digest, err)
	}
}

func TestOpenStopsWithItsContext(t *testing.T) {
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer silent.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go cancel()
	if _, err := source.Open(ctx, strings.TrimPrefix(silent.URL, "http://")+"/app", source.Options{}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}
