package source_test

import (
	"archive/tar"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/imagespec/hostiletest"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/source/sourcetest"
)

// entriesOf are the files of a hostile case as a layer has them.
func entriesOf(c hostiletest.Case) []sourcetest.Entry {
	var entries []sourcetest.Entry
	for _, f := range c.Files {
		entries = append(entries, sourcetest.Entry{Name: f.Name, Content: f.Content, Link: f.Link, Type: f.Type})
	}
	return entries
}

// verify opens and verifies an image of the given layers.
func verify(t *testing.T, layers ...sourcetest.Layer) error {
	t.Helper()
	dir := t.TempDir()
	sourcetest.Layout(t, dir, []string{"amd64"}, layers...)
	return openAndVerify(t, dir)
}

// TestVerifyRefusesWhatHostsWould: before a host is touched, with the layer and the path.
func TestVerifyRefusesWhatHostsWould(t *testing.T) {
	for name, c := range hostiletest.Rootfs() {
		t.Run(name, func(t *testing.T) {
			err := verify(t, sourcetest.Layer{Tar: sourcetest.Tar(t, entriesOf(c)...)})
			if !errors.Is(err, imagespec.ErrInvalid) || !strings.Contains(err.Error(), c.Path()) || !strings.Contains(err.Error(), "layer sha256:") {
				t.Errorf("got %v, want an error that names %s and its layer", err, c.Path())
			}
		})
	}
	for name, c := range hostiletest.Store() {
		t.Run("store, "+name, func(t *testing.T) {
			entries := append(sourcetest.Embedded(t, map[string]string{"quay.io/b:1": "b"}), entriesOf(c)...)
			err := verify(t, sourcetest.Layer{Images: true, Tar: sourcetest.Tar(t, entries...)})
			if !errors.Is(err, imagespec.ErrInvalid) || !strings.Contains(err.Error(), c.Path()) {
				t.Errorf("got %v, want an error that names %s", err, c.Path())
			}
		})
	}
}

// TestVerifyComparesStoreAndLock, in a registry too.
func TestVerifyComparesStoreAndLock(t *testing.T) {
	images := map[string]string{"quay.io/a:1": "a", "quay.io/b:1": "b"}
	embedded := sourcetest.Embedded(t, images)
	without := func(name, content string) []sourcetest.Entry {
		return slices.DeleteFunc(slices.Clone(embedded), func(e sourcetest.Entry) bool { return e.Name == name || content != "" && e.Content == content })
	}
	rootfs := sourcetest.Layer{Tar: sourcetest.Tar(t, sourcetest.Entry{Name: "scripts/init.sh", Content: "true"})}
	for name, test := range map[string]struct {
		store  []sourcetest.Entry
		change func(*source.Artifact)
		want   string // in the error; empty: none
	}{
		"as built":         {store: embedded},
		"a missing layer":  {store: without("", "a"), want: "quay.io/a:1"},
		"a missing layout": {store: without("registry/oci-layout", ""), want: "oci-layout"},
		"hidden from the lock": {store: embedded, change: func(a *source.Artifact) { a.Description.Lock.Images = a.Description.Lock.Images[1:] },
			want: "quay.io/a:1: invalid cluster image: in the store, but not in the lock"},
		"no lock at all": {store: embedded, change: func(a *source.Artifact) { a.Description.Lock = imagespec.NewLock() }, want: "quay.io/b:1"},
		"in the lock only": {store: embedded, change: func(a *source.Artifact) {
			more := a.Description.Lock.Images[0]
			more.Reference = "quay.io/c:1"
			a.Description.Lock.Images = append(a.Description.Lock.Images, more)
		}, want: "quay.io/c:1: invalid cluster image: in the lock, but not in the store"},
		"no store at all": {change: func(a *source.Artifact) {
			a.Description.Lock.Images = []imagespec.LockedImage{{Reference: "quay.io/a:1", Platforms: []imagespec.LockedPlatform{{Platform: "linux/amd64"}}}}
		}, want: "quay.io/a:1"},
		"another platform": {store: embedded, change: func(a *source.Artifact) { a.Description.Lock.Images[0].Platforms[0].Platform = "linux/arm64" }, want: "quay.io/a:1"},
		"a store in the rootfs does not count": {store: nil, change: func(a *source.Artifact) {
			a.RootfsLayers, a.ImageLayers = append(a.RootfsLayers, a.ImageLayers...), nil
		}},
	} {
		layers := []sourcetest.Layer{rootfs}
		if test.store != nil {
			layers = append(layers, sourcetest.Layer{Images: true, Compression: "gzip", Tar: sourcetest.Tar(t, test.store...)})
		}
		dir := t.TempDir()
		root := sourcetest.Layout(t, dir, []string{"amd64"}, layers...)
		registry := httptest.NewServer(ociserver.New(ocimem.New(), nil))
		defer registry.Close()
		remote := strings.TrimPrefix(registry.URL, "http://") + "/app"
		sourcetest.Push(t, dir, remote, root, "v1")
		for form, image := range map[string]string{"layout": dir, "registry": remote + ":v1"} {
			t.Run(name+", "+form, func(t *testing.T) {
				a := open(t, image)
				if test.change != nil {
					test.change(a)
				}
				err := a.Verify(t.Context(), nil)
				if test.want == "" && err != nil {
					t.Errorf("got %v", err)
				}
				if test.want != "" && (!errors.Is(err, imagespec.ErrInvalid) && !errors.Is(err, imagespec.ErrNotFound) || !strings.Contains(err.Error(), test.want)) {
					t.Errorf("got %v, want an error with %q", err, test.want)
				}
			})
		}
	}
}

// TestALaterLayerPutsItRight: what a host can unpack is not refused.
func TestALaterLayerPutsItRight(t *testing.T) {
	layer := func(entries ...sourcetest.Entry) sourcetest.Layer {
		return sourcetest.Layer{Tar: sourcetest.Tar(t, entries...)}
	}
	for name, layers := range map[string][]sourcetest.Layer{
		"a link that is no more": {layer(sourcetest.Entry{Name: "l", Type: tar.TypeSymlink, Link: "/etc"}), layer(sourcetest.Entry{Name: ".wh.l"}, sourcetest.Entry{Name: "k", Content: "1"}),
			layer(sourcetest.Entry{Name: "l/x", Content: "2"})},
		"a directory for a link":     {layer(sourcetest.Entry{Name: "l", Type: tar.TypeSymlink, Link: ".."}), layer(sourcetest.Entry{Name: "l/", Type: tar.TypeDir}, sourcetest.Entry{Name: "l/x"})},
		"hard link to a lower layer": {layer(sourcetest.Entry{Name: "a", Content: "1"}), layer(sourcetest.Entry{Name: "h", Type: tar.TypeLink, Link: "a"})},
		"set-user-ID and odd names":  {layer(sourcetest.Entry{Name: "s", Mode: 0o6755, Content: "1"}, sourcetest.Entry{Name: "a\nb", Content: "1"}, sourcetest.Entry{Name: "registry/config.yml", Content: "1"})},
	} {
		t.Run(name, func(t *testing.T) {
			if err := verify(t, layers...); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestALargeBlobOfARegistryIsNotReadTwice: its layer is looked at as far as the blob's header, and read when it is sent.
func TestALargeBlobOfARegistryIsNotReadTwice(t *testing.T) {
	const size = 17 << 20
	var large, small []sourcetest.Entry
	for _, e := range sourcetest.Embedded(t, map[string]string{"quay.io/a:1": strings.Repeat("x", size)}) {
		if len(e.Content) == size {
			large = append(large, e)
		} else {
			small = append(small, e)
		}
	}
	dir := t.TempDir()
	root := sourcetest.Layout(t, dir, []string{"amd64"}, sourcetest.Layer{Tar: sourcetest.Tar(t)},
		sourcetest.Layer{Images: true, Tar: sourcetest.Tar(t, large...)}, sourcetest.Layer{Images: true, Tar: sourcetest.Tar(t, small...)})
	registry := httptest.NewServer(ociserver.New(ocimem.New(), nil))
	t.Cleanup(registry.Close)
	remote := strings.TrimPrefix(registry.URL, "http://") + "/app"
	sourcetest.Push(t, dir, remote, root, "v1")
	for image, limit := range map[string]int64{dir: 2 * size, remote + ":v1": size / 8} {
		a := open(t, image)
		var read atomic.Int64
		if err := a.Verify(t.Context(), func(done, _ int64) { read.Store(max(read.Load(), done)) }); err != nil {
			t.Errorf("%s: %v", image, err)
		}
		if read.Load() == 0 || read.Load() > limit {
			t.Errorf("%s: %d bytes were read, want at most %d", image, read.Load(), limit)
		}
		a.ImageLayers = a.ImageLayers[1:]
		if err := a.Verify(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "quay.io/a:1") {
			t.Errorf("%s without the blob: %v", image, err)
		}
	}
}
