package client

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/runner/agent/agenttest"
	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/source/sourcetest"
)

// version is an image with a rootfs of its own, an embedded image of its own, and one that all versions have.
func version(t *testing.T, name string) *source.Artifact {
	t.Helper()
	content := strings.Repeat(name, 100_000)
	return artifact(t, sourcetest.Layer{Tar: sourcetest.Tar(t, oneFile("bin/kubelet", content))},
		sourcetest.Layer{Images: true, Tar: sourcetest.Tar(t, sourcetest.Embedded(t, map[string]string{"a.io/app:" + name: content, "b.io/all:1": "the same"})...)})
}

// arrives brings an image to a host.
func arrives(t *testing.T, tg Target, a *source.Artifact) {
	t.Helper()
	_, err := Send(t.Context(), a, []Target{tg}, SendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tg.UnpackRootfs(t.Context(), a.RootfsLayers); err != nil {
		t.Fatal(err)
	}
}

func layersOf(artifacts ...*source.Artifact) (all []digest.Digest) {
	for _, a := range artifacts {
		for _, l := range slices.Concat(a.RootfsLayers, a.ImageLayers) {
			all = append(all, l.Descriptor.Digest)
		}
	}
	return all
}

// contents are the files of a directory, but for locks.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(name, ".lock") {
			return err
		}
		data, err := os.ReadFile(name)
		found[strings.TrimPrefix(name, dir+"/")] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestVersionsDoNotPileUp: of ten versions of an image a host keeps two, whole.
func TestVersionsDoNotPileUp(t *testing.T) {
	tg := target(t, local(t, "10.0.0.1"), true)
	var before *source.Artifact
	var sizes []int
	for _, name := range strings.Split("0123456789", "") {
		a := version(t, name)
		arrives(t, tg, a)
		keep := layersOf(a)
		if before != nil {
			keep = layersOf(a, before)
		}
		found, err := tg.Unneeded(t.Context(), keep)
		if err != nil {
			t.Fatal(err)
		}
		var remove []digest.Digest
		for _, layer := range found {
			remove = append(remove, layer.Digest)
		}
		if bytes, err := tg.RemoveLayers(t.Context(), remove); err != nil || (bytes > 0) != (len(sizes) > 1) {
			t.Fatalf("version %s: %d bytes were removed, %v", name, bytes, err)
		}
		before = a
		sizes = append(sizes, len(contents(t, tg.Dir)))
	}
	if slices.Max(sizes[1:]) != sizes[1] {
		t.Errorf("the numbers of files are %v, want no more than with two versions", sizes)
	}
	agenttest.Complete(t, tg.Dir, "a.io/app:8", "a.io/app:9", "b.io/all:1")
}

// TestUnneeded: the layers that are listed are all that the named images do not have, with the references that nothing else has.
func TestUnneeded(t *testing.T) {
	tg := target(t, local(t, "10.0.0.1"), true)
	a, b := version(t, "a"), version(t, "b")
	arrives(t, tg, a)
	arrives(t, tg, b)
	found, err := tg.Unneeded(t.Context(), layersOf(b))
	want := []wire.Unneeded{{Digest: a.RootfsLayers[0].Descriptor.Digest}, {Digest: a.ImageLayers[0].Descriptor.Digest, References: []string{"a.io/app:a"}}}
	if err != nil || !reflect.DeepEqual(found, want) {
		t.Errorf("got %v, %v, want %v", found, err, want)
	}
	for _, keep := range [][]digest.Digest{nil, layersOf(a, b)} {
		if found, err := tg.Unneeded(t.Context(), keep); err != nil || len(found) > 0 {
			t.Errorf("with %d layers to keep: got %v, %v", len(keep), found, err)
		}
	}
}

// TestRemovalOfLayersIsTakenUp: a removal that was interrupted anywhere ends like one that was not.
func TestRemovalOfLayersIsTakenUp(t *testing.T) {
	tg := target(t, local(t, "10.0.0.1"), true)
	a, b := version(t, "a"), version(t, "b")
	arrives(t, tg, a)
	arrives(t, tg, b)
	before := contents(t, tg.Dir)
	if _, err := tg.RemoveLayers(t.Context(), layersOf(a)); err != nil {
		t.Fatal(err)
	}
	after := contents(t, tg.Dir)
	steps := []string{"registry/refs/", "registry/index.json", "registry/blobs/", "blobs/", "layers/"} // in this order
	for i, step := range steps {
		for name, content := range before {
			left := slices.ContainsFunc(steps[i:], func(step string) bool { return strings.HasPrefix(name, step) })
			if !left || after[name] == content {
				continue
			}
			path := filepath.Join(tg.Dir, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		found, err := tg.Unneeded(t.Context(), layersOf(b))
		if err != nil || len(found) == 0 {
			t.Fatalf("interrupted before %s: found %v, %v", step, found, err)
		}
		if _, err := tg.RemoveLayers(t.Context(), layersOf(a)); err != nil {
			t.Fatalf("interrupted before %s: %v", step, err)
		}
		if now := contents(t, tg.Dir); !maps.Equal(now, after) {
			t.Errorf("interrupted before %s: there are %q, want %q", step, slices.Sorted(maps.Keys(now)), slices.Sorted(maps.Keys(after)))
		}
		agenttest.Complete(t, tg.Dir, "a.io/app:b", "b.io/all:1")
	}
}

// TestDamagedMarkers: what a layer that stays needs has to be known before anything is removed. Of one that goes it is not needed.
func TestDamagedMarkers(t *testing.T) {
	tg := target(t, local(t, "10.0.0.1"), true)
	a, b := version(t, "a"), version(t, "b")
	arrives(t, tg, a)
	arrives(t, tg, b)
	damage := func(a *source.Artifact) {
		name := a.ImageLayers[0].Descriptor.Digest.Encoded() + ".json"
		if err := os.WriteFile(filepath.Join(tg.Dir, "layers", "sha256", name), []byte("{"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	damage(b)
	before := contents(t, tg.Dir)
	if found, err := tg.Unneeded(t.Context(), layersOf(b)); err == nil {
		t.Errorf("got %v, want an error", found)
	}
	if _, err := tg.RemoveLayers(t.Context(), layersOf(a)); err == nil || !strings.Contains(err.Error(), b.ImageLayers[0].Descriptor.Digest.String()) {
		t.Errorf("got %v, want an error that names the layer", err)
	}
	if now := contents(t, tg.Dir); !maps.Equal(now, before) {
		t.Errorf("there are %q, want %q", slices.Sorted(maps.Keys(now)), slices.Sorted(maps.Keys(before)))
	}
	arrives(t, tg, b)
	damage(a)
	if _, err := tg.RemoveLayers(t.Context(), layersOf(a)); err != nil {
		t.Fatal(err)
	}
	found, err := tg.Unneeded(t.Context(), layersOf(b))
	if err != nil || len(found) > 0 {
		t.Errorf("left are %v, %v", found, err)
	}
}
