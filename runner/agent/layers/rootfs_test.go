package layers

import (
	"archive/tar"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/source/sourcetest"
)

// FuzzFilesAsUnpacked reads files out of layers without unpacking them, which has to find what unpacking makes.
func FuzzFilesAsUnpacked(f *testing.F) {
	names := []string{"a", "b", "l", "a/l", "a/b", "a/b/c", "l/x", "a/l/x", "./a", "a/.wh.l", ".wh.l", ".wh.a", "a/.wh.b", "l/.wh.x", "l/.wh..wh..opq", "a/.wh..wh..opq", ".wh..wh..opq", "b/c/d"}
	links := []string{"a", "b", "a/l", "a/b", "..", "l", "l/x", "../b", "a/b/c", "."}
	types := []byte{tar.TypeReg, tar.TypeDir, tar.TypeSymlink, tar.TypeLink, tar.TypeReg, 0xff}
	f.Add([]byte{1, 0, 0, 0, 4, 0, 2, 2, 0, 5, 0, 0, 0, 6, 0, 0, 10, 0})
	f.Add([]byte{0, 5, 0, 3, 1, 8, 5, 0, 0, 0, 15, 0, 0, 5, 0, 5, 0, 0, 0, 9, 0, 0, 3, 0})
	f.Add([]byte{0, 0, 0, 5, 0, 0, 2, 0, 1, 5, 0, 0, 1, 0, 0, 0, 3, 0, 3, 1, 2})
	f.Fuzz(func(t *testing.T, data []byte) {
		layers := [][]e{nil}
		// What a layer hides and also writes through a link depends on the order of its entries: no tool makes that.
		hides, leads := false, false
		for count := 0; len(data) >= 3 && count < 30; data, count = data[3:], count+1 {
			entry := e{Type: types[int(data[0])%len(types)], Name: names[int(data[1])%len(names)], Link: links[int(data[2])%len(links)]}
			if entry.Type == 0xff {
				layers = append(layers, nil)
				continue
			}
			if entry.Type == tar.TypeReg {
				entry.Content = fmt.Sprint(count)
			}
			hides = hides || strings.Contains(entry.Name, ".wh.")
			leads = leads || entry.Type == tar.TypeSymlink
			layers[len(layers)-1] = append(layers[len(layers)-1], entry)
		}
		dir, err := apply(t, layers...)
		if err != nil || hides && leads {
			return // no host unpacks it
		}
		got, want := files(t, layers), regular(t, dir)
		if !maps.Equal(got, want) {
			t.Fatalf("read %v, unpacked %v from %v", got, want, layers)
		}
	})
}

// files reads every file of an image of the given layers.
func files(t *testing.T, layers [][]e) map[string]string {
	t.Helper()
	var all []sourcetest.Layer
	for _, layer := range layers {
		all = append(all, sourcetest.Layer{Tar: sourcetest.Tar(t, layer...)})
	}
	image := t.TempDir()
	sourcetest.Layout(t, image, []string{"amd64"}, all...)
	artifact, err := source.Open(t.Context(), image, source.Options{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	if err != nil {
		t.Fatal(err)
	}
	defer artifact.Close()
	var asked []string
	read, err := artifact.Files(t.Context(), func(name string) bool {
		asked = append(asked, name)
		return true
	})
	if err != nil {
		t.Fatalf("%v: %v", layers, err)
	}
	got := make(map[string]string)
	for name, file := range read {
		got[name] = string(file.Content)
		if !slices.Contains(asked, name) {
			t.Fatalf("%s was not asked for", name)
		}
	}
	return got
}

// regular reads the regular files of a tree.
func regular(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(name)
		found[name[len(dir)+1:]] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
