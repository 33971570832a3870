package images

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"oras.land/oras-go/v2/content/oci"

	"github.com/kubefile/kubefile/integration/upstream/image"
)

func small(content string) []Definition {
	return []Definition{{
		References: []string{"registry.example.com/small:v1", "registry.example.com/small:latest"},
		Layers:     [][]image.Entry{base(), {{Path: "content", Mode: 0o644, Data: []byte(content)}}},
	}}
}

func TestBuildIsDoneOncePerContent(t *testing.T) {
	cache := t.TempDir()
	layout, err := Build(t.Context(), cache, small("one"))
	if err != nil {
		t.Fatal(err)
	}
	mark := filepath.Join(layout, "mark")
	if err := os.WriteFile(mark, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if again, err := Build(t.Context(), cache, small("one")); err != nil || again != layout {
		t.Errorf("second build: %s, %v; want %s", again, err, layout)
	}
	if _, err := os.Stat(mark); err != nil {
		t.Error("the layout was made again")
	}
	if other, err := Build(t.Context(), cache, small("two")); err != nil || other == layout {
		t.Errorf("build of other content: %s, %v", other, err)
	}
}

func TestBuildIsDeterministic(t *testing.T) {
	digests := make(map[string]bool)
	for range 2 {
		layout, err := Build(t.Context(), t.TempDir(), small("one"))
		if err != nil {
			t.Fatal(err)
		}
		store, err := oci.NewFromFS(t.Context(), os.DirFS(layout))
		if err != nil {
			t.Fatal(err)
		}
		for _, ref := range small("one")[0].References {
			desc, err := store.Resolve(t.Context(), ref)
			if err != nil {
				t.Fatal(err)
			}
			digests[desc.Digest.String()] = true
		}
	}
	if len(digests) != 1 {
		t.Errorf("one image has %d digests", len(digests))
	}
}

func TestFailedBuildLeavesNoLayout(t *testing.T) {
	cache := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Build(ctx, cache, small("one")); err == nil {
		t.Fatal("a cancelled build succeeded")
	}
	layouts, err := filepath.Glob(filepath.Join(cache, "images", "[^.]*"))
	if err != nil || len(layouts) != 0 {
		t.Errorf("layouts %v, %v", layouts, err)
	}
}

func TestContentKeyKnowsEverything(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	definition := func(change func(*Definition, *image.Entry)) []Definition {
		d := small("one")[0]
		entry := &d.Layers[1][0]
		change(&d, entry)
		return []Definition{d}
	}
	keys := make(map[string]int)
	for i, d := range [][]Definition{
		small("one"),
		definition(func(d *Definition, _ *image.Entry) { d.References = d.References[:1] }),
		definition(func(d *Definition, _ *image.Entry) { d.Config.User = "1001" }),
		definition(func(d *Definition, _ *image.Entry) { d.Compression = image.Zstd }),
		definition(func(d *Definition, _ *image.Entry) { d.Layers = [][]image.Entry{slices.Concat(d.Layers...)} }),
		definition(func(_ *Definition, e *image.Entry) { e.Path = "other" }),
		definition(func(_ *Definition, e *image.Entry) { e.Mode = fs.ModeDir | 0o755 }),
		definition(func(_ *Definition, e *image.Entry) { e.Link = "other" }),
		definition(func(_ *Definition, e *image.Entry) { e.Source = file }),
	} {
		key, err := contentKey(d)
		if err != nil {
			t.Fatal(err)
		}
		if first, ok := keys[key]; ok {
			t.Errorf("definitions %d and %d have one key", first, i)
		}
		keys[key] = i
	}
}

func TestResolveStaysInTheRoot(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"usr/bin", "usr/lib", "lib/x", "etc/alternatives"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"usr/bin/tool":          "/etc/alternatives/tool",
		"etc/alternatives/tool": "../../usr/bin/real",
		"usr/bin/loop":          "loop",
		"lib/x/lib.so.1":        "lib.so.1.2",
	} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"usr/bin/real", "lib/x/lib.so.1.2"} {
		if err := os.WriteFile(filepath.Join(root, file), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"usr/bin/tool":       "usr/bin/real",
		"usr/lib/x/lib.so.1": "lib/x/lib.so.1.2", // a package that has it under /lib
	} {
		if got, err := resolve(root, name); err != nil || got != filepath.Join(root, want) {
			t.Errorf("%s: %s, %v; want %s", name, got, err, want)
		}
	}
	for _, name := range []string{"usr/bin/loop", "usr/bin/none"} {
		if got, err := resolve(root, name); err == nil {
			t.Errorf("%s: %s, want an error", name, got)
		}
	}
}

func TestProgramComesWithItsLibraries(t *testing.T) {
	// Any Debian machine has it, linked dynamically.
	entries, err := withLibraries("/", []string{"usr/bin/sleep"}, "")
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, entry := range entries {
		paths = append(paths, entry.Path)
	}
	for _, want := range []string{"usr/bin/sleep", "lib64/ld-linux-x86-64.so.2", libraries + "/libc.so.6"} {
		if !slices.Contains(paths, want) {
			t.Errorf("%s is missing in %q", want, paths)
		}
	}
}
