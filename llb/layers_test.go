package llb

import (
	"fmt"
	"testing"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/client/llb"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func blob(t *testing.T, content string, size int64) Blob {
	t.Helper()
	name, err := reference.ParseNormalizedNamed("docker.io/library/nginx")
	if err != nil {
		t.Fatal(err)
	}
	b, err := RegistryBlob(name, digest.FromString(content), size)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAssembledImage(t *testing.T) {
	fetched := llb.Scratch().File(llb.Mkfile("/fetched", 0o644, nil))
	blobs := []Blob{
		FetchedBlob(fetched, digest.FromString("manifest"), 1000),
		FetchedBlob(fetched, digest.FromString("big fetched layer"), 9<<20),
		blob(t, "config", 2000),
		blob(t, "big layer", 10<<20),
		blob(t, "small layer", 100),
		blob(t, "big layer", 10<<20), // of a second image
	}
	files := []File{
		{Path: "registry/refs/docker.io/library/nginx/_tags/latest.json", Data: []byte("{}")},
		{Path: "registry/oci-layout", Data: []byte(`{"imageLayoutVersion":"1.0.0"}`)},
	}
	layers := []Layer{Program(toolboxImage(), RunnerSource, ".kubefile/sealer-run", "runner")}
	layers = append(layers, Layers(blobs, files, 10)...)
	layers = append(layers, Content(File{Path: "registry/images.lock.json", Data: []byte("{}")}, "lock file"))
	rootfs := compile(t, "FROM scratch\nCOPY a /\n")
	golden(t, "assembled", Assemble(rootfs, layers, true))
	golden(t, "assembled-by-copies", Assemble(rootfs, layers, false))
}

func TestLayerBudget(t *testing.T) {
	var blobs []Blob
	for i := range 5 {
		blobs = append(blobs, blob(t, fmt.Sprint("big", i), bigBlob+int64(i)), blob(t, fmt.Sprint("small", i), bigBlob-1))
	}
	files := []File{{Path: "registry/oci-layout"}}
	for budget, want := range map[int]int{1: 1, 2: 2, 5: 5, 6: 6, 60: 6} {
		layers := Layers(blobs, files, budget)
		if len(layers) != want {
			t.Errorf("budget %d: %d layers, want %d", budget, len(layers), want)
		}
		for _, l := range layers {
			if !l.Images {
				t.Errorf("budget %d: the layer %q is not marked", budget, l.Name)
			}
		}
	}
	if layers := Layers(nil, nil, 10); len(layers) != 0 {
		t.Errorf("%d layers of nothing", len(layers))
	}
	biggest := Layers(blobs, files, 2)[0]
	if want := "image blob " + digest.FromString("big4").String(); biggest.Name != want {
		t.Errorf("the only big layer is %q, want %q", biggest.Name, want)
	}
}

func TestLayersDoNotDependOnTheOrderOfDiscovery(t *testing.T) {
	a, b := blob(t, "a", 5<<20), blob(t, "b", 5<<20)
	c, d := blob(t, "c", 1), blob(t, "d", 1)
	one := Assemble(llb.Scratch(), Layers([]Blob{a, b, c, d}, nil, 9), true)
	other := Assemble(llb.Scratch(), Layers([]Blob{d, b, c, a}, nil, 9), true)
	if string(dump(t, one)) != string(dump(t, other)) {
		t.Error("the layers differ")
	}
}

func TestSteps(t *testing.T) {
	golden(t, "scan", Scan(toolboxImage(), compile(t, "FROM scratch\nCOPY a /\n"), []byte("{}")))
	golden(t, "list", List(toolboxImage(), compile(t, "FROM scratch\nCOPY a /\n")))
	golden(t, "fetch", Fetch(toolboxImage(), []byte("{}"), &llb.ProxyEnv{HTTPProxy: "http://proxy.example.com"}, "fetch manifests"))
	golden(t, "fetch-blobs", FetchBlobs(toolboxImage(), []byte("{}"), nil, "fetch images"))
}

func TestForPlatform(t *testing.T) {
	arm64 := ocispec.Platform{OS: "linux", Architecture: "arm64"}
	st, ok, err := ForPlatform(t.Context(), toolboxImage(), arm64)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	golden(t, "for-platform", st)
	if _, ok, err := ForPlatform(t.Context(), llb.Local("frontend"), arm64); ok || err != nil {
		t.Error(ok, err)
	}
}

func TestImageDigest(t *testing.T) {
	for want, st := range map[string]llb.State{
		digest.FromString("frontend").String(): toolboxImage(),
		"":                                     llb.Local("frontend"),
	} {
		if got, err := ImageDigest(t.Context(), st); got != want || err != nil {
			t.Errorf("%q (%v), want %q", got, err, want)
		}
	}
}
