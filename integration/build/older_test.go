//go:build lab

package build

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/buildkit/client"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/apicaps"
	cappb "github.com/moby/buildkit/util/apicaps/pb"
	"github.com/tonistiigi/fsutil"

	"github.com/kubefile/kubefile/frontend"
	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/imagespec/storetest"
	"github.com/kubefile/kubefile/integration/upstream"
)

// fresh names an image that no BuildKit has fetched yet.
func fresh(repository string) string { return fmt.Sprintf("%s:v%d", repository, time.Now().UnixNano()) }

// sameImageLayers compares the bytes of the layers with embedded images. How they are compressed is the exporter's choice, which takes what
// is compressed already.
func sameImageLayers(t *testing.T, one, other string) {
	t.Helper()
	_, images := pull(t, one, "linux/amd64").split(t)
	_, others := pull(t, other, "linux/amd64").split(t)
	if len(images) < 2 || !slices.Equal(diffIDs(images), diffIDs(others)) {
		t.Errorf("the image layers of\n%s are %q, of\n%s %q", one, diffIDs(images), other, diffIDs(others))
	}
}

// TestOlderBuildKit: where BuildKit cannot fetch blobs, a step does it, and the layers are the same.
func TestOlderBuildKit(t *testing.T) {
	t.Parallel()
	references := []string{fresh("quay.io/lab/old"), fresh("docker.io/lab-docker/old"), big}
	content := files{"Kubefile": "FROM scratch\nRUN echo hello >/hello\nCOPY a.yaml /\nCMD x\n", "a.yaml": pod(references...)}
	current, output := build(t, content)
	warning := "older than 0.28"
	if strings.Contains(output, warning) {
		t.Errorf("a current BuildKit is called old:\n%s", output)
	}
	older, output := build(t, content, "--builder", lab.OldBuildxBuilder)
	contains(t, output, warning, "falls back to a step", "--secret id=kubefile.dockerconfig", "--build-arg KUBEFILE_MIRRORS", "fetch 3 images")
	pull(t, older, "linux/amd64").checkStore(t, references...)
	sameImageLayers(t, current, older)

	t.Run("with one more image", func(t *testing.T) {
		fetched := blobRequests(t, references[0])
		added := fresh("quay.io/lab/added")
		ref, _ := build(t, files{"Kubefile": content["Kubefile"], "a.yaml": pod(append(references, added)...)}, "--builder", lab.OldBuildxBuilder)
		if again := blobRequests(t, references[0]) - fetched; fetched == 0 || again != 0 {
			t.Errorf("of %s %d blobs were fetched, then %d again", references[0], fetched, again)
		}
		pull(t, ref, "linux/amd64").checkStore(t, append(references, added)...)
	})
	t.Run("for two platforms", func(t *testing.T) {
		reference := fresh("quay.io/lab/old")
		ref, _ := build(t, files{"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": pod(reference)},
			"--builder", lab.OldBuildxBuilder, "--platform", "linux/amd64,linux/arm64")
		for _, platform := range []string{"linux/amd64", "linux/arm64"} {
			pull(t, ref, platform).checkStore(t, reference)
		}
	})
	t.Run("on a base", func(t *testing.T) {
		added := fresh("quay.io/lab/added")
		ref, _ := build(t, files{"Kubefile": "FROM " + current + "\nCOPY b.yaml /\n", "b.yaml": pod(added)}, "--builder", lab.OldBuildxBuilder)
		pull(t, ref, "linux/amd64").checkStore(t, append(references, added)...)
	})
}

// blobRequests counts the blobs that were read from the repository of a reference.
func blobRequests(t *testing.T, reference string) (n int) {
	t.Helper()
	log, err := os.ReadFile(lab.UpstreamAccessLog)
	if err != nil {
		t.Fatal(err)
	}
	repository, _, _ := strings.Cut(reference, ":")
	for line := range strings.Lines(string(log)) {
		var access upstream.Access
		decode(t, []byte(line), &access)
		if access.Method == http.MethodGet && strings.HasPrefix(access.Path, "/v2/"+repository+"/blobs/") {
			n++
		}
	}
	return n
}

// TestOldestBuildKit: the oldest that is taken makes the same layers, too. It knows no mirrors with a path, as the lab's are.
func TestOldestBuildKit(t *testing.T) {
	t.Parallel()
	oldest := startBuilder(t, "buildkitd-v0.11")
	reference, large := lab.Upstream+"/"+fresh("quay.io/lab/oldest"), lab.Upstream+"/"+big
	dir := files{
		"Kubefile": "FROM scratch\nLABEL io.kubefile.kubernetes.version=v1.34.4\nCOPY a.yaml manifests/\n" +
			"RUN wget http://" + lab.Upstream + "/files/dashboard/recommended.yaml && rm recommended.yaml\nCMD first\n",
		"a.yaml": pod(reference, large),
	}.write(t)
	current, older := newName(t), newName(t)
	buildOn(t, lab.BuildKitHost, dir, current)
	buildOn(t, oldest, dir, older)
	sameImageLayers(t, current, older)

	derived, added := newName(t), lab.Upstream+"/"+fresh("quay.io/lab/added")
	buildOn(t, oldest, files{"Kubefile": "FROM " + older + "\nRUN test -f manifests/a.yaml && echo hello >hello\nCOPY b.yaml manifests/\nCMD second\n",
		"b.yaml": pod(added)}.write(t), derived)
	image := pull(t, derived, "linux/amd64")
	lock := image.describe(t).Lock
	if len(lock.Images) != 3 {
		t.Errorf("embedded are %+v", lock.Images)
	}
	if err := storetest.Validate(t.Context(), os.DirFS(filepath.Join(image.unpack(t), imagespec.RegistryDir)), lock); err != nil {
		t.Error(err)
	}
}

// TestTooOldBuildKit: the last one that writes other layers is refused before anything is built.
func TestTooOldBuildKit(t *testing.T) {
	t.Parallel()
	output, err := buildctl(t, startBuilder(t, "buildkitd-v0.10"), small.write(t))
	if err == nil {
		t.Fatal("BuildKit 0.10 was taken")
	}
	contains(t, output, "this BuildKit is too old for Kubefiles: 0.11 or later is needed")
}

// masked is a BuildKit without some of its capabilities, as Docker's own image store is one that can neither merge nor diff.
type masked struct {
	gateway.Client
	without []apicaps.CapID
}

func (m masked) BuildOpts() gateway.BuildOpts {
	opts := m.Client.BuildOpts()
	var caps []*cappb.APICap
	for _, c := range pb.Caps.All() {
		if opts.LLBCaps.Supports(apicaps.CapID(c.ID)) == nil && !slices.Contains(m.without, apicaps.CapID(c.ID)) {
			caps = append(caps, c)
		}
	}
	opts.LLBCaps = pb.Caps.CapSet(caps)
	return opts
}

// buildWithout builds a directory with the frontend in this process, which sees the lab's BuildKit without some capabilities.
func buildWithout(t *testing.T, content files, ref string, without ...apicaps.CapID) {
	t.Helper()
	c, err := client.New(t.Context(), lab.BuildKitHost)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dir, err := fsutil.NewFS(content.write(t))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Build(t.Context(), client.SolveOpt{
		Exports:       []client.ExportEntry{{Type: client.ExporterImage, Attrs: map[string]string{"name": ref, "push": "true"}}},
		LocalMounts:   map[string]fsutil.FS{"context": dir, "dockerfile": dir},
		FrontendAttrs: map[string]string{"source": lab.Frontend, "filename": "Kubefile", "build-arg:KUBEFILE_MIRRORS": lab.Mirrors},
	}, "", func(ctx context.Context, c gateway.Client) (*gateway.Result, error) {
		return frontend.Build(ctx, masked{c, without})
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
}

// TestWithoutMergeAndDiff: where layers cannot be merged they are copied one onto the other, and the image ones stay the same.
func TestWithoutMergeAndDiff(t *testing.T) {
	t.Parallel()
	reference := fresh("quay.io/lab/copies")
	content := files{
		"Kubefile": "FROM scratch\nLABEL io.kubefile.kubernetes.version=v1.34.4\nCOPY a.yaml manifests/\nCOPY a.yaml registry/keep\nCMD first\n",
		"a.yaml":   pod(reference, big),
	}
	merged, copied := newName(t), newName(t)
	buildWithout(t, content, merged)
	buildWithout(t, content, copied, pb.CapMergeOp, pb.CapDiffOp)
	pull(t, copied, "linux/amd64").checkStore(t, reference, big)
	sameImageLayers(t, merged, copied)

	t.Run("on a base", func(t *testing.T) {
		added, ref := fresh("quay.io/lab/added"), newName(t)
		buildWithout(t, files{"Kubefile": "FROM " + copied + "\nCOPY b.yaml manifests/\nCMD second\n", "b.yaml": pod(added)}, ref,
			pb.CapMergeOp, pb.CapDiffOp)
		image := pull(t, ref, "linux/amd64")
		image.checkStore(t, reference, big, added)
		if n := len(image.describe(t).Commands); n != 2 {
			t.Errorf("%d commands", n)
		}
	})
	t.Run("nor fetch blobs", func(t *testing.T) {
		ref := newName(t)
		buildWithout(t, content, ref, pb.CapMergeOp, pb.CapDiffOp, pb.CapSourceImageBlob)
		sameImageLayers(t, merged, ref)
	})
}
