package llb

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

var update = flag.Bool("update", false, "write the golden files")

var amd64 = ocispec.Platform{OS: "linux", Architecture: "amd64"}

// images is a registry that has every image, by a digest of its name.
type images struct{}

func (images) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	config, err := json.Marshal(ocispec.Image{
		Platform: amd64,
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromString(ref)}},
	})
	return ref, digest.FromString(ref), config, err
}

// isCluster: the tests' cluster images are called kubernetes.
func isCluster(image string) bool { return strings.HasPrefix(image, "docker.io/library/kubernetes:") }

// compile is what BuildKit makes of a Dockerfile.
func compile(t *testing.T, dockerfile string) llb.State {
	t.Helper()
	return compileWith(t, dockerfile, func(*dockerfile2llb.ConvertOpt) {})
}

func compileWith(t *testing.T, dockerfile string, change func(*dockerfile2llb.ConvertOpt)) llb.State {
	t.Helper()
	caps := pb.Caps.CapSet(pb.Caps.All())
	files := llb.Local("context", llb.LocalUniqueID("context"))
	opt := dockerfile2llb.ConvertOpt{
		MetaResolver:   images{},
		MainContext:    &files,
		SourceMap:      llb.NewSourceMap(nil, "Kubefile", "Kubefile", []byte(dockerfile)),
		TargetPlatform: &amd64,
		LLBCaps:        &caps,
	}
	change(&opt)
	res, err := dockerfile2llb.Dockerfile2LLB(t.Context(), []byte(dockerfile), opt)
	if err != nil {
		t.Fatal(err)
	}
	return res.State
}

// toolboxImage is the frontend's image, as CurrentFrontend gives it.
func toolboxImage() llb.State {
	return llb.Image("registry.example.com/frontend@"+digest.FromString("frontend").String(), llb.Platform(amd64))
}

func withToolbox(t *testing.T, st llb.State) llb.State {
	t.Helper()
	st, err := WithToolbox(t.Context(), st, isCluster, func(*ocispec.Platform) (llb.State, error) { return toolboxImage(), nil })
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// testTree: the tests' cluster images have a tree, all but kubernetes:old.
func testTree(image string, _ *ocispec.Platform) ([]byte, bool) {
	return []byte("a tree"), isCluster(image) && !strings.Contains(image, ":old@")
}

func linked(t *testing.T, dockerfile string, plain func(int) bool) Link {
	t.Helper()
	link, err := Linked(t.Context(), compile(t, dockerfile), testTree, []byte(dockerfile), plain)
	if err != nil {
		t.Fatal(err)
	}
	return link
}

func never(int) bool { return false }

// golden compares the graph of st with testdata/NAME.golden.
func golden(t *testing.T, name string, st llb.State) {
	t.Helper()
	got := dump(t, st)
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; run the test with -update and look at the difference:\n%s", file, got)
	}
}

// dump writes a graph as text: one operation a paragraph, numbered, its inputs by number and output.
func dump(t *testing.T, st llb.State) []byte {
	t.Helper()
	def, err := st.Marshal(t.Context(), llb.Platform(amd64))
	if err != nil {
		t.Fatal(err)
	}
	g, err := parseGraph(def.ToPB())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	number := map[string]int{}
	name := func(in *pb.Input) string { return fmt.Sprintf("%d.%d", number[in.Digest], in.Index) }
	for i, dgst := range g.order {
		number[dgst] = i + 1
		v := g.vertices[dgst]
		var inputs []string
		for _, in := range v.op.Inputs {
			inputs = append(inputs, name(in))
		}
		v.op.Inputs, v.op.Constraints = nil, nil
		if v.op.Platform != nil && v.op.Platform.Architecture == amd64.Architecture {
			v.op.Platform = nil
		}
		dt, err := protojson.Marshal(v.op)
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if err := json.Indent(&text, dt, "", "  "); err != nil { // protojson's own spaces differ from run to run
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%d %s\n", i+1, v.metadata.GetDescription()["llb.customname"])
		if inputs != nil {
			fmt.Fprintf(&out, "inputs %s\n", strings.Join(inputs, " "))
		}
		fmt.Fprintf(&out, "%s\n\n", &text)
	}
	if g.head != nil {
		fmt.Fprintf(&out, "result %s\n", name(g.head))
	}
	return out.Bytes()
}
