package layers

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/agent/agenttest"
	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/source/layerfs"
	"github.com/kubefile/kubefile/runner/source/sourcetest"
)

// Short names for tables.
type e = sourcetest.Entry

func file(name, content string) e { return e{Name: name, Content: content} }
func dir(name string) e           { return e{Name: name, Type: tar.TypeDir} }
func link(name, to string) e      { return e{Name: name, Type: tar.TypeSymlink, Link: to} }
func hard(name, to string) e      { return e{Name: name, Type: tar.TypeLink, Link: to} }

// apply applies layers to an empty tree and returns the tree.
func apply(t *testing.T, layers ...[]e) (string, error) {
	t.Helper()
	path := t.TempDir()
	root, err := os.OpenRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, layer := range layers {
		if err := applyLayer(t, root, layer); err != nil {
			return path, err
		}
	}
	return path, nil
}

// applyLayer applies one layer to a tree on a disk with 1 MiB left.
func applyLayer(t *testing.T, root *os.Root, layer []e) error {
	t.Helper()
	data := sourcetest.Tar(t, layer...)
	u := unpacker{root: root, written: make(map[string]bool), left: 1 << 20}
	return layerfs.Read(bytes.NewReader(data), digest.FromBytes(data), u.entry)
}

func TestLayersAddUp(t *testing.T) {
	for _, test := range []struct {
		name   string
		layers [][]e
		want   []string
	}{
		{"files, directories and links", [][]e{{dir("a/"), file("a/f", "1"), link("a/l", "f"), link("abs", "/etc/passwd"), link("up", "../../x"), hard("h", "a/f")}},
			[]string{"d a", "- a/f 1", "l a/l f", "l abs /etc/passwd", "- h 1", "l up ../../x"}},
		{"parents that the layer does not list", [][]e{{file("a/b/c", "1")}}, []string{"d a", "d a/b", "- a/b/c 1"}},
		{"leading dot", [][]e{{dir("./"), file("./a", "1")}}, []string{"- a 1"}},
		{"a later layer wins", [][]e{{file("a", "1"), file("b", "1")}, {file("a", "2")}}, []string{"- a 2", "- b 1"}},
		{"a directory stays", [][]e{{file("a/b", "1")}, {dir("a/"), file("a/c", "2")}}, []string{"d a", "- a/b 1", "- a/c 2"}},
		{"a file for a directory", [][]e{{file("a/b", "1")}, {file("a", "2")}}, []string{"- a 2"}},
		{"a directory for a file", [][]e{{file("a", "1")}, {dir("a/"), file("a/b", "2")}}, []string{"d a", "- a/b 2"}},
		{"a directory for a link", [][]e{{file("real/x", "1"), link("a", "real")}, {dir("a/"), file("a/b", "2")}}, []string{"d a", "- a/b 2", "d real", "- real/x 1"}},
		{"a file for a link, not through it", [][]e{{file("real", "1"), link("a", "real")}, {file("a", "2")}}, []string{"- a 2", "- real 1"}},
		{"a file for one of two hard links", [][]e{{file("a", "1"), hard("b", "a")}, {file("a", "2")}}, []string{"- a 2", "- b 1"}},
		{"whiteout of a file", [][]e{{file("a/b", "1"), file("a/c", "1")}, {file("a/.wh.b", "")}}, []string{"d a", "- a/c 1"}},
		{"whiteout of a directory", [][]e{{file("a/b/c", "1")}, {file("a/.wh.b", "")}}, []string{"d a"}},
		{"whiteout of a link, not of its target", [][]e{{file("real/x", "1"), link("a", "real")}, {file(".wh.a", "")}}, []string{"d real", "- real/x 1"}},
		{"whiteout of nothing", [][]e{{file("x/.wh.y", ""), file("a", "1")}}, []string{"- a 1"}},
		{"whiteouts of the store, which is not here", [][]e{{file("a", "1")}, {file("registry/.wh.refs", ""), file(".wh.registry", "")}}, []string{"- a 1"}},
		{"whiteout and a new file", [][]e{{file("a", "1")}, {file(".wh.a", ""), file("a", "2")}}, []string{"- a 2"}},
		{"a new file and its whiteout", [][]e{{file("a", "1")}, {file("a", "2"), file(".wh.a", "")}}, []string{"- a 2"}},
		{"a new directory and its whiteout", [][]e{{file("a/old", "1")}, {dir("a/"), file("a/new", "2"), file(".wh.a", "")}}, []string{"d a", "- a/new 2"}},
		{"opaque first", [][]e{{file("a/b/old", "1"), file("a/old", "1")}, {dir("a/"), file("a/.wh..wh..opq", ""), file("a/new", "2")}}, []string{"d a", "- a/new 2"}},
		{"opaque last", [][]e{{file("a/b/old", "1"), file("a/old", "1")}, {dir("a/"), file("a/b/new", "2"), file("a/.wh..wh..opq", "")}}, []string{"d a", "d a/b", "- a/b/new 2"}},
		{"opaque root", [][]e{{file("a/b", "1")}, {file(".wh..wh..opq", ""), file("c", "2")}}, []string{"- c 2"}},
		{"bookkeeping of AUFS", [][]e{{file("a", "1"), dir(".wh..wh.plnk/"), file(".wh..wh.aufs", "")}}, []string{"- a 1"}},
		{"through a link that stays inside", [][]e{{file("lib/x", "1"), link("l", "lib")}, {file("l/y", "2")}}, []string{"l l lib", "d lib", "- lib/x 1", "- lib/y 2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			path, err := apply(t, test.layers...)
			if err != nil {
				t.Fatal(err)
			}
			if got := agenttest.Tree(t, path); got != strings.Join(test.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", got, strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestModesAndTimes(t *testing.T) {
	path, err := apply(t, []e{{Name: "run", Content: "x", Mode: 0o4755}, {Name: "secret", Content: "x", Mode: 0o600}, {Name: "tmp/", Type: tar.TypeDir, Mode: 0o1777}})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"run": fs.ModeSetuid | 0o755, "secret": 0o600, "tmp": fs.ModeDir | fs.ModeSticky | 0o777} {
		info, err := os.Stat(filepath.Join(path, name))
		if err != nil || info.Mode() != want {
			t.Errorf("%s: %v, want %v, %v", name, info.Mode(), want, err)
		}
		if name == "run" && !info.ModTime().Equal(time.Unix(0, 0)) {
			t.Errorf("%s: time %v", name, info.ModTime())
		}
	}
}

// TestHostileLayers tries to write, link and remove outside of the tree.
func TestHostileLayers(t *testing.T) {
	outside := t.TempDir()
	victim := filepath.Join(outside, "victim")
	for name, layers := range map[string][][]e{
		"dot dot":                            {{file("../victim", "x")}},
		"dot dot inside":                     {{file("a/../../victim", "x")}},
		"absolute":                           {{file(victim, "x")}},
		"file through an absolute link":      {{link("l", outside), file("l/victim", "x")}},
		"file through a link up":             {{link("l", "../../../../.."+outside), file("l/victim", "x")}},
		"file through two links":             {{dir("a/"), link("a/b", "../.."), link("c", "a/b"), file("c/"+filepath.Base(outside)+"/victim", "x")}},
		"directory through a link":           {{link("l", outside), dir("l/d/")}},
		"link in a directory outside":        {{link("l", outside), link("l/x", "y")}},
		"hard link to outside":               {{hard("h", "../victim")}},
		"hard link to outside, absolute":     {{hard("h", victim)}},
		"hard link through a link":           {{link("l", outside), hard("h", "l/victim")}},
		"whiteout outside":                   {{link("l", outside)}, {file("l/.wh.victim", "")}},
		"whiteout of dot dot":                {{file(".wh...", "")}},
		"whiteout of dot":                    {{file(".wh..", "")}},
		"whiteout of nothing at all":         {{file(".wh.", "")}},
		"character device":                   {{e{Name: "d", Type: tar.TypeChar}}},
		"block device":                       {{e{Name: "d", Type: tar.TypeBlock}}},
		"pipe":                               {{e{Name: "p", Type: tar.TypeFifo}}},
		"the agent's own note":               {{file(unpackedFile, `{"layers":[]}`)}},
		"the agent's own note, dotted":       {{file("./.kubefile/./unpacked.json", `{"layers":[]}`)}},
		"more than fits":                     {{file("a", strings.Repeat("x", 1<<19)), file("b", strings.Repeat("x", 1<<19)), file("c", "x")}},
		"hard link to nothing":               {{hard("h", "missing")}},
		"file below a file":                  {{file("a", "x"), file("a/b", "x")}},
		"directory through a link to a file": {{file("f", "x"), link("l", "f"), file("l/x", "y")}},
	} {
		t.Run(name, func(t *testing.T) {
			agenttest.Write(t, victim, "untouched")
			path, err := apply(t, layers...)
			if err == nil {
				t.Errorf("accepted:\n%s", agenttest.Tree(t, path))
			}
			if got := agenttest.Tree(t, outside); got != "- victim untouched" {
				t.Errorf("outside:\n%s", got)
			}
		})
	}
}

// TestOpaqueThroughALink does not empty a directory outside.
func TestOpaqueThroughALink(t *testing.T) {
	outside := t.TempDir()
	agenttest.Write(t, filepath.Join(outside, "victim"), "untouched")
	apply(t, []e{link("l", outside)}, []e{file("l/.wh..wh..opq", "")})
	if got := agenttest.Tree(t, outside); got != "- victim untouched" {
		t.Errorf("outside:\n%s", got)
	}
}

// FuzzUnpack makes layers of names and links that lead in and out. Raw bytes
// would mostly die at a header's checksum.
func FuzzUnpack(f *testing.F) {
	names := []string{"a", "b", "l", "a/l", "a/b", "l/x", "l/victim", "a/l/victim", "../victim", "./a", "a/.wh.l", ".wh.l", "l/.wh.victim",
		"l/.wh..wh..opq", "a/l/.wh..wh..opq", ".wh...", "b/c/d", "l/tree", ".kubefile", ".kubefile/unpacked.json"}
	links := []string{"..", "/", "a", "../..", "../victim", "victim", "b", "a/l", ".", "l/victim", "../../victim", ".kubefile"}
	types := []byte{tar.TypeReg, tar.TypeDir, tar.TypeSymlink, tar.TypeLink, tar.TypeSymlink, tar.TypeReg, tar.TypeFifo}
	f.Add([]byte{2, 2, 0, 0, 6, 0})
	f.Add([]byte{1, 0, 0, 2, 3, 0, 0, 7, 0, 0, 14, 0})
	f.Add([]byte{2, 2, 1, 3, 0, 9, 0, 12, 0, 0, 13, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		var entries []e
		for ; len(data) >= 3 && len(entries) < 50; data = data[3:] {
			entry := e{Type: types[int(data[0])%len(types)], Name: names[int(data[1])%len(names)], Link: links[int(data[2])%len(links)]}
			if entry.Type == tar.TypeReg {
				entry.Content = "x"
			}
			entries = append(entries, entry)
		}
		outside := t.TempDir()
		agenttest.Write(t, filepath.Join(outside, "victim"), "untouched")
		inside := filepath.Join(outside, "tree")
		if err := os.Mkdir(inside, 0o755); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(inside)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		for half := range slices.Chunk(entries, max(1, len(entries)/2)) {
			applyLayer(t, root, half)
		}
		left, err := os.ReadDir(outside)
		if err != nil || len(left) != 2 || agenttest.Read(t, filepath.Join(outside, "victim")) != "untouched" {
			t.Fatalf("outside: %v, %v", left, err)
		}
		if _, err := os.Lstat(filepath.Join(inside, unpackedFile)); err == nil {
			t.Fatal("a layer wrote the agent's note")
		}
	})
}

// place puts layers where unpackRootfs finds them.
func place(t *testing.T, clusterDir string, layers ...[]e) wire.UnpackRequest {
	t.Helper()
	request := wire.UnpackRequest{Dir: clusterDir}
	for _, layer := range layers {
		data := sourcetest.Tar(t, layer...)
		d := digest.FromBytes(data)
		r := wire.LayerRequest{Digest: d, DiffID: d, Size: int64(len(data))}
		if _, err := PutBlob(wire.BlobRequest{Dir: clusterDir, Blob: wire.Blob{Digest: d, Size: r.Size}}, bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		request.Layers = append(request.Layers, r)
	}
	return request
}

func TestUnpackRootfs(t *testing.T) {
	cluster := t.TempDir()
	one, two, three := []e{file("a", "1")}, []e{file("b", "2")}, []e{file(".wh.a", "")}
	rootfs := func() string {
		return strings.ReplaceAll(agenttest.Tree(t, filepath.Join(cluster, RootfsDir)), "\n", ", ")
	}
	unpack := func(want string, changes bool, layers ...[]e) {
		t.Helper()
		did, err := UnpackRootfs(t.Context(), place(t, cluster, layers...))
		if err != nil || did.Changed != changes || rootfs() != want {
			t.Fatalf("changed %v, %v; rootfs %s, want %s", did.Changed, err, rootfs(), want)
		}
		if _, err := os.Stat(filepath.Join(cluster, rootfsNewDir)); err == nil {
			t.Fatal("the tree that was replaced is left")
		}
	}
	unpack("- a 1, - b 2", true, one, two)
	unpack("- a 1, - b 2", false, one, two)
	agenttest.Write(t, filepath.Join(cluster, RootfsDir, "rendered"), "x")
	unpack("- a 1, - b 2, - rendered x", false, one, two)
	unpack("- b 2", true, one, two, three)
	unpack("- b 2", true, two)
	unpack("- b 2", false, two)
	// A layer that names what it must not leaves the old tree in place.
	if _, err := UnpackRootfs(t.Context(), place(t, cluster, one, []e{file("../x", "")})); !errors.Is(err, imagespec.ErrInvalid) {
		t.Fatal(err)
	}
	if rootfs() != "- b 2" {
		t.Fatal(rootfs())
	}
	unpack("- a 1", true, one)
}

// TestUnpackIsTakenUp interrupts after every layer.
func TestUnpackIsTakenUp(t *testing.T) {
	cluster := t.TempDir()
	var layers [][]e
	for i := range 4 {
		layers = append(layers, []e{file(fmt.Sprint("f", i), "x"), file(fmt.Sprint(".wh.f", i-1), "")})
	}
	request := place(t, cluster, layers...)
	last := filepath.Join(cluster, "blobs", "sha256", request.Layers[3].Digest.Encoded())
	if err := os.Rename(last, last+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := UnpackRootfs(t.Context(), request); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	state := agenttest.Read(t, filepath.Join(cluster, rootfsNewDir, unpackedFile))
	if strings.Count(state, "sha256:") != 3 {
		t.Fatal(state)
	}
	// What was unpacked is not unpacked again: the first blob is not even needed.
	first := filepath.Join(cluster, "blobs", "sha256", request.Layers[0].Digest.Encoded())
	if err := errors.Join(os.Rename(last+".away", last), os.Remove(first)); err != nil {
		t.Fatal(err)
	}
	if _, err := UnpackRootfs(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if got := agenttest.Tree(t, filepath.Join(cluster, RootfsDir)); got != "- f3 x" {
		t.Fatal(got)
	}
}

// TestUnpackAfterAPowerCut does not trust a half tree of another boot.
func TestUnpackAfterAPowerCut(t *testing.T) {
	cluster := t.TempDir()
	request := place(t, cluster, []e{file("a", "1")}, []e{file("b", "2")})
	half := filepath.Join(cluster, rootfsNewDir)
	if err := os.MkdirAll(filepath.Join(half, ".kubefile"), 0o755); err != nil {
		t.Fatal(err)
	}
	agenttest.Write(t, filepath.Join(half, "a"), "")
	agenttest.Write(t, filepath.Join(half, unpackedFile), fmt.Sprintf(`{"bootID":"another","layers":[%q]}`, request.Layers[0].Digest))
	if _, err := UnpackRootfs(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if got := agenttest.Read(t, filepath.Join(cluster, RootfsDir, "a")); got != "1" {
		t.Fatalf("%q", got)
	}
}

// TestRottenBlob finds that the disk does not hold what arrived, and has it sent
// again.
func TestRottenBlob(t *testing.T) {
	cluster := t.TempDir()
	request := place(t, cluster, []e{file("a", "content")})
	path := filepath.Join(cluster, "blobs", "sha256", request.Layers[0].Digest.Encoded())
	agenttest.Write(t, path, strings.Replace(agenttest.Read(t, path), "content", "contemt", 1))
	if _, err := UnpackRootfs(t.Context(), request); !errors.Is(err, wire.ErrDamaged) {
		t.Fatal(err)
	}
	answer, err := Have(wire.HaveRequest{Dir: cluster, Blobs: []wire.Blob{{Digest: request.Layers[0].Digest, Size: request.Layers[0].Size}}})
	if err != nil || slices.Contains(answer.Blobs, request.Layers[0].Digest) {
		t.Fatal(answer, err)
	}
}
