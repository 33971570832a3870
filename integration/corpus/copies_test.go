//go:build corpus

package corpus

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/frontend/kubefile"
	kubellb "github.com/kubefile/kubefile/llb"
)

// TestCopiesSpareTheBase: of the lines that copy, most do not need the base, on the assumption that every base has a tree. A file that
// begins at scratch has no base to spare; it is asked as if it began at one.
func TestCopiesSpareTheBase(t *testing.T) {
	var lines, linked, files, whole int
	for _, repository := range []string{"labring-actions/cluster-image", "sealerio/applications"} {
		for _, name := range buildFiles(t, filepath.Join("inputs", repository)) {
			n, ok := copies(t, name)
			if n == 0 {
				continue
			}
			files, lines = files+1, lines+n
			if ok {
				whole, linked = whole+1, linked+n
			} else {
				t.Logf("%s reads its base", name)
			}
		}
	}
	t.Logf("%d of %d lines in %d of %d files spare the base", linked, lines, whole, files)
	if linked*10 < lines*8 {
		t.Error("fewer than 80 %")
	}
}

// clusterImages has every image, with Kubernetes in it.
type clusterImages struct{}

func (clusterImages) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	config, err := json.Marshal(ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromString(ref)}},
	})
	return ref, digest.FromString(ref), config, err
}

// copies counts the COPY and ADD lines of a file's last stage, and reports whether they spare the base.
func copies(t *testing.T, name string) (int, bool) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	file, err := kubefile.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	list, err := file.Instructions(kubefile.Scope{IsReplaced: func(string) bool { return false }})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, c := range list {
		switch c.(type) {
		case *instructions.CopyCommand, *instructions.AddCommand:
			n++
		}
	}
	caps := pb.Caps.CapSet(pb.Caps.All())
	local := llb.Local("context")
	platform := ocispec.Platform{OS: "linux", Architecture: "amd64"}
	res, err := dockerfile2llb.Dockerfile2LLB(t.Context(), onBase(file.Dockerfile()), dockerfile2llb.ConvertOpt{
		MetaResolver: clusterImages{}, MainContext: &local, TargetPlatform: &platform, LLBCaps: &caps,
	})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	tree := func(string, *ocispec.Platform) ([]byte, bool) { return []byte("a tree"), true }
	link, err := kubellb.Linked(t.Context(), res.State, tree, nil, func(int) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	before, err := res.State.Marshal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	after, err := link.State.Marshal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n, len(after.Def) > len(before.Def)
}

// onBase is a Dockerfile whose stages begin at an image and not at scratch.
func onBase(dockerfile []byte) []byte {
	return regexp.MustCompile(`(?im)^(FROM\s+)scratch\b`).ReplaceAll(dockerfile, []byte("${1}base"))
}
