package source_test

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/source/layerfs"
	"github.com/kubefile/kubefile/runner/source/sourcetest"
)

// Short names for tables.
type e = sourcetest.Entry

func file(name, content string) e { return e{Name: name, Content: content} }
func dir(name string) e           { return e{Name: name, Type: tar.TypeDir} }
func link(name, to string) e      { return e{Name: name, Type: tar.TypeSymlink, Link: to} }
func hard(name, to string) e      { return e{Name: name, Type: tar.TypeLink, Link: to} }

// rootfs is an image of the given layers.
func rootfs(t *testing.T, layers ...[]e) *source.Artifact {
	t.Helper()
	dir := t.TempDir()
	var all []sourcetest.Layer
	for i, layer := range layers {
		all = append(all, sourcetest.Layer{Compression: []string{"gzip", "zstd", ""}[i%3], Tar: sourcetest.Tar(t, layer...)})
	}
	sourcetest.Layout(t, dir, []string{"amd64"}, all...)
	return open(t, dir)
}

func all(string) bool { return true }

// list writes files as "name content, name content".
func list(files map[string]layerfs.File) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		lines = append(lines, name+" "+string(files[name].Content))
	}
	return strings.Join(lines, ", ")
}

func TestFiles(t *testing.T) {
	for _, test := range []struct {
		name   string
		layers [][]e
		want   string
	}{
		{"nothing", [][]e{{dir("a/")}}, ""},
		{"files, but no links", [][]e{{dir("./"), dir("./a/"), file("./a/f", "1"), link("a/l", "f"), file("b", "2")}}, "a/f 1, b 2"},
		{"a later layer wins", [][]e{{file("a", "1"), file("b", "1")}, {file("a", "2")}, {file("c", "3")}}, "a 2, b 1, c 3"},
		{"a later entry wins", [][]e{{file("a", "1"), file("a", "2")}}, "a 2"},
		{"a directory stays", [][]e{{dir("a/"), file("a/b", "1")}, {dir("a/"), file("a/c", "2")}}, "a/b 1, a/c 2"},
		{"a file for a directory", [][]e{{file("a/b/c", "1")}, {file("a", "2")}}, "a 2"},
		{"a directory for a file", [][]e{{file("a", "1")}, {dir("a/"), file("a/b", "2")}}, "a/b 2"},
		{"a link for a file", [][]e{{file("a", "1"), file("b", "1")}, {link("a", "b")}}, "b 1"},
		{"a link for a directory", [][]e{{file("a/x", "1"), file("b/x", "2")}, {link("a", "b")}}, "b/x 2"},
		{"a directory for a link", [][]e{{file("b/x", "1"), link("a", "b")}, {dir("a/"), file("a/x", "2")}}, "a/x 2, b/x 1"},
		{"whiteout of a file", [][]e{{file("a/b", "1"), file("a/c", "1")}, {file("a/.wh.b", "")}}, "a/c 1"},
		{"whiteout of a directory", [][]e{{file("a/b/c", "1"), file("a/bc", "1")}, {file("a/.wh.b", "")}}, "a/bc 1"},
		{"whiteout of nothing", [][]e{{file("x/.wh.y", ""), file("a", "1")}}, "a 1"},
		{"whiteouts of the store, which is not here", [][]e{{file("a", "1")}, {file("registry/.wh.refs", ""), file(".wh.registry", "")}}, "a 1"},
		{"whiteout of a link, not of its target", [][]e{{file("b/x", "1"), link("a", "b")}, {file(".wh.a", "")}}, "b/x 1"},
		{"whiteout before its layer's own", [][]e{{file("a/x", "1")}, {file(".wh.a", ""), file("a/y", "2")}}, "a/y 2"},
		{"whiteout after its layer's own", [][]e{{file("a/x", "1")}, {file("a/y", "2"), file(".wh.a", "")}}, "a/y 2"},
		{"opaque first", [][]e{{file("a/b/x", "1"), file("a/x", "1")}, {dir("a/"), file("a/.wh..wh..opq", ""), file("a/y", "2")}}, "a/y 2"},
		{"opaque last", [][]e{{file("a/b/x", "1"), file("a/x", "1")}, {dir("a/"), file("a/b/y", "2"), file("a/.wh..wh..opq", "")}}, "a/b/y 2"},
		{"opaque root", [][]e{{file("a/b", "1"), file("c", "1")}, {file(".wh..wh..opq", ""), file("d", "2")}}, "d 2"},
		{"opaque link", [][]e{{file("b/x", "1"), link("a", "b")}, {file("a/.wh..wh..opq", "")}}, "b/x 1"},
		{"opaque file", [][]e{{file("a", "1")}, {file("a/.wh..wh..opq", "")}}, "a 1"},
		{"made anew", [][]e{{file("a", "1")}, {file(".wh.a", "")}, {file("a", "3")}}, "a 3"},
		{"bookkeeping of AUFS", [][]e{{file("a", "1"), dir(".wh..wh.plnk/"), file(".wh..wh.aufs", "")}}, "a 1"},
		{"hard link", [][]e{{file("a", "1"), hard("b/c", "a")}}, "a 1, b/c 1"},
		{"hard link to a lower layer", [][]e{{file("a", "1")}, {hard("b", "a")}, {file("a", "2")}}, "a 2, b 1"},
		{"hard link to a link", [][]e{{file("a/x", "1"), link("l", "a"), hard("m", "l"), file("m/y", "2")}}, "a/x 1, a/y 2"},
		{"through a link", [][]e{{file("lib/x", "1"), link("l", "lib"), link("m", "./x/../l/")}, {file("l/x", "2"), file("m/y", "3")}}, "lib/x 2, lib/y 3"},
		{"whiteout through a link", [][]e{{file("lib/x", "1"), link("l", "lib")}, {file("l/.wh.x", "")}}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			found, err := rootfs(t, test.layers...).Files(t.Context(), all)
			if err != nil {
				t.Fatal(err)
			}
			if got := list(found); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestFilesThatAreWanted(t *testing.T) {
	for form, image := range sourcetest.Forms(t) {
		found, err := open(t, image).Files(t.Context(), func(name string) bool { return strings.HasPrefix(name, ".kubefile/") })
		if err != nil || len(found) != 1 {
			t.Fatal(form, found, err)
		}
		if f := found[imagespec.RunnerPath]; string(f.Content) != "the runner" || f.Mode != 0o755 {
			t.Errorf("%s: %v %q", form, f.Mode, f.Content)
		}
	}
	setuid := rootfs(t, []e{{Name: "run", Content: "x", Mode: 0o4755}, {Name: "other", Content: strings.Repeat("x", layerfs.MaxFileSize+1)}})
	found, err := setuid.Files(t.Context(), func(name string) bool { return name == "run" })
	if err != nil || len(found) != 1 || found["run"].Mode != 0o755|fs.ModeSetuid {
		t.Errorf("%v, %v", found, err)
	}
}

func TestFilesRefusals(t *testing.T) {
	long := strings.Repeat("x/", 2100)
	for _, test := range []struct {
		name   string
		layers [][]e
		says   string
	}{
		{"dot dot", [][]e{{file("../a", "")}}, "leaves the root"},
		{"absolute", [][]e{{file("/a", "")}}, `path "/a"`},
		{"through a link up", [][]e{{link("l", "../.."), file("l/x", "")}}, "l/x: invalid cluster image: a symbolic link"},
		{"through an absolute link", [][]e{{link("l", "/etc"), file("l/x", "")}}, "l/x: invalid cluster image: a symbolic link"},
		{"through links in a ring", [][]e{{link("l", "m"), link("m", "l"), file("l/x", "")}}, "l/x: invalid cluster image: a symbolic link"},
		{"below a file", [][]e{{file("a", ""), file("a/b", "")}}, "a is a file"},
		{"hard link to outside", [][]e{{hard("h", "../x")}}, "h: path \"../x\" leaves the root"},
		{"hard link to nothing", [][]e{{hard("h", "missing")}}, "it is a hard link to missing"},
		{"hard link to what is not wanted", [][]e{{file("unwanted", ""), hard("h", "unwanted")}}, "it is a hard link to unwanted"},
		{"whiteout of dot dot", [][]e{{file("a/.wh...", "")}}, "not a whiteout"},
		{"pipe for a file", [][]e{{file("a", "1")}, {e{Name: "a", Type: tar.TypeFifo}}}, "a: invalid cluster image: a named pipe"},
		{"long name", [][]e{{file(long+"x", "")}}, "more than 4096 bytes"},
		{"long link", [][]e{{link("l", long)}}, "of more than 4095 bytes"},
		{"link to nothing", [][]e{{link("l", "")}}, "a symbolic link to nothing"},
		{"large file", [][]e{{file("big", strings.Repeat("x", layerfs.MaxFileSize+1))}}, "big: file is too large: 16777217 bytes (at most 16 MiB)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			artifact := rootfs(t, test.layers...)
			found, err := artifact.Files(t.Context(), func(name string) bool { return name != "unwanted" })
			if err == nil {
				t.Fatalf("accepted: %s", list(found))
			}
			if !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), artifact.Name) {
				t.Errorf("%q does not say %q and %q", err, test.says, artifact.Name)
			}
		})
	}
}

// TestFilesLimit has each layer replace the same files: what was read counts.
func TestFilesLimit(t *testing.T) {
	var entries []e
	for i := range 9 {
		entries = append(entries, file(fmt.Sprint(i), strings.Repeat("x", layerfs.MaxFileSize-1000)))
	}
	artifact := rootfs(t, entries, entries)
	if found, err := artifact.Files(t.Context(), func(name string) bool { return name < "7" }); err != nil || len(found) != 7 {
		t.Fatal(len(found), err)
	}
	if _, err := artifact.Files(t.Context(), all); err == nil || !strings.Contains(err.Error(), "more than 256 MiB in all") {
		t.Fatal(err)
	}
}

func TestFilesOfDamagedLayers(t *testing.T) {
	image := t.TempDir()
	sourcetest.Layout(t, image, []string{"amd64"}, sourcetest.Layers(t)...)
	artifact := open(t, image)
	for i, layer := range artifact.RootfsLayers {
		name := filepath.Join(image, "blobs", "sha256", layer.Descriptor.Digest.Encoded())
		whole, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range offsets(len(whole)) {
			data := slices.Clone(whole)
			data[max(0, at)] ^= 1
			if err := os.WriteFile(name, data, 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := artifact.Files(t.Context(), all)
			if !errors.Is(err, source.ErrDamaged) || !strings.Contains(err.Error(), image) || strings.Count(err.Error(), "damaged") != 1 {
				t.Fatalf("layer %d, bit flipped in byte %d: %v", i, at, err)
			}
		}
		if err := os.WriteFile(name, whole, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	artifact.RootfsLayers[0].DiffID = artifact.RootfsLayers[1].DiffID
	if _, err := artifact.Files(t.Context(), all); !errors.Is(err, source.ErrDamaged) || !strings.Contains(err.Error(), "diff ID") {
		t.Fatal(err)
	}
}

func TestFilesStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := rootfs(t, []e{file("a", "1")}).Files(ctx, all); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}
