package imagespec_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
)

func TestTree(t *testing.T) {
	tree := imagespec.Tree{
		"etc":            {Mode: fs.ModeDir | fs.ModeSticky | 0o777, UID: 7, GID: 8},
		"etc/current":    {Mode: fs.ModeSymlink | 0o777, Target: "../v1"},
		"etc/\xff\xfe ü": {Mode: 0o600, UID: 9},
		"etc/pipe":       {Mode: fs.ModeNamedPipe | 0o600},
	}
	tree.AddOwn()
	data, err := tree.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if err := imagespec.CheckTree(data); err != nil {
		t.Error(err)
	}
	want := []string{
		`5 ".kubefile/" 755 0:0 ""`, `0 ".kubefile/sealer-run" 0 65534:65534 ""`,
		`5 "etc/" 1777 7:8 ""`, `2 "etc/current" 777 65534:65534 "../v1"`, `0 "etc/pipe" 0 65534:65534 ""`, `0 "etc/\xff\xfe ü" 0 65534:65534 ""`,
		`5 "registry/" 755 0:0 ""`, `0 "registry/images.lock.json" 0 65534:65534 ""`,
	}
	if got := entries(t, data); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func entries(t *testing.T, data []byte) (list []string) {
	t.Helper()
	compressed, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(compressed); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(time.Unix(0, 0)) {
			t.Errorf("%s is of %v", h.Name, h.ModTime)
		}
		list = append(list, fmt.Sprintf("%c %q %o %d:%d %q", h.Typeflag, h.Name, h.Mode, h.Uid, h.Gid, h.Linkname))
	}
}

// TestTreeHasALimit: a rootfs of ordinary names fits up to the number of entries that SPEC.md has or the size, whichever is first.
func TestTreeHasALimit(t *testing.T) {
	for name, tt := range map[string]struct {
		files int
		name  func(int) string
		fits  bool
	}{
		"ordinary":  {1000, func(i int) string { return fmt.Sprintf("usr/share/app/file-%d.yaml", i) }, true},
		"too many":  {imagespec.MaxTreeEntries + 1, func(i int) string { return fmt.Sprint(i) }, false},
		"too large": {10000, func(int) string { return fmt.Sprintf("%x", rand.Uint64()) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			tree := imagespec.Tree{}
			for i := range tt.files {
				tree[tt.name(i)] = imagespec.TreeEntry{}
			}
			if _, err := tree.Marshal(); errors.Is(err, imagespec.ErrInvalid) == tt.fits {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestRootfsTree(t *testing.T) {
	good, err := imagespec.Tree{"etc": {Mode: fs.ModeDir | 0o755}}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		label any
		ok    bool
	}{
		"ours":                   {imagespec.TreeLabel{History: 2, Tree: good}, true},
		"another tool's step":    {imagespec.TreeLabel{History: 1, Tree: good}, false},
		"no archive":             {imagespec.TreeLabel{History: 2, Tree: []byte("x")}, false},
		"empty":                  {imagespec.TreeLabel{History: 2}, false},
		"cut":                    {imagespec.TreeLabel{History: 2, Tree: good[:len(good)/2]}, false},
		"no object":              {"x", false},
		"leaves the root":        {imagespec.TreeLabel{History: 2, Tree: archive(t, &tar.Header{Name: "../x", Typeflag: tar.TypeDir})}, false},
		"absolute":               {imagespec.TreeLabel{History: 2, Tree: archive(t, &tar.Header{Name: "/x", Typeflag: tar.TypeDir})}, false},
		"a hard link":            {imagespec.TreeLabel{History: 2, Tree: archive(t, &tar.Header{Name: "x", Linkname: "y", Typeflag: tar.TypeLink})}, false},
		"a device":               {imagespec.TreeLabel{History: 2, Tree: archive(t, &tar.Header{Name: "x", Typeflag: tar.TypeBlock})}, false},
		"content":                {imagespec.TreeLabel{History: 2, Tree: archive(t, &tar.Header{Name: "x", Typeflag: tar.TypeReg, Size: 1})}, false},
		"a large label":          {imagespec.TreeLabel{History: 2, Tree: append(good, make([]byte, 2*imagespec.MaxTreeSize)...)}, false},
		"more than it should be": {imagespec.TreeLabel{History: 2, Tree: archive(t, slices.Repeat([]*tar.Header{{Name: "x", Typeflag: tar.TypeDir}}, imagespec.MaxTreeEntries+1)...)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := json.Marshal(tt.label)
			if err != nil {
				t.Fatal(err)
			}
			config := ocispec.Image{History: make([]ocispec.History, 2)}
			config.Config.Labels = map[string]string{imagespec.LabelRootfs: string(text)}
			if tree, ok := imagespec.RootfsTree(config); ok != tt.ok || ok && !bytes.Equal(tree, good) {
				t.Errorf("got %v", ok)
			}
		})
	}
	if _, ok := imagespec.RootfsTree(ocispec.Image{}); ok {
		t.Error("an image without labels has a tree")
	}
}

func archive(t *testing.T, headers ...*tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	compressed := gzip.NewWriter(&b)
	w := tar.NewWriter(compressed)
	for _, h := range headers {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, h.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), compressed.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
