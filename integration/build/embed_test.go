//go:build lab

package build

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// big is an image with layers that get image layers of their own, in the lab's layout.
const big = "registry.k8s.io/etcd:3.6.5-0"

func TestReferencesAreKeptAsWritten(t *testing.T) {
	t.Parallel()
	byTag := "docker.io/library/nginx:1.29"
	first, _ := build(t, files{"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": pod("nginx:1.29")})
	top := pull(t, first, "linux/amd64").describe(t).Lock.Images[0].Digest.String()
	byDigest, both := "docker.io/library/nginx@"+top, byTag+"@"+top

	ref, _ := build(t, files{"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": pod("nginx:1.29", byDigest, both)})
	image := pull(t, ref, "linux/amd64")
	image.checkStore(t, byTag, byDigest, both)
	_, layers := image.split(t)
	if len(layers) != 1 {
		t.Errorf("%d image layers for one image under three names", len(layers))
	}
	dir := "registry/refs/docker.io/library/nginx/"
	image.file(t, dir+"_tags/1.29.json")
	image.file(t, dir+"_digests/sha256/"+strings.TrimPrefix(top, "sha256:")+".json")
}

func TestKindsOfManifests(t *testing.T) {
	t.Parallel()
	references := []string{"docker.io/lab-docker/a:v1", "quay.io/lab-single/b:v1", "gcr.io/index/c:v1"}
	ref, _ := build(t, files{"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": pod(references...)})
	pull(t, ref, "linux/amd64").checkStore(t, references...)
}

func TestImageLayersAreTheSameOnEveryBuilder(t *testing.T) {
	t.Parallel()
	content := files{"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": pod("docker.io/library/redis:8", big)}
	var layers [2][]digest.Digest
	for i := range layers {
		ref := newName(t)
		buildOn(t, newBuilder(t), content.write(t), ref)
		image := pull(t, ref, "linux/amd64")
		image.checkStore(t, "docker.io/library/redis:8", big)
		_, images := image.split(t)
		layers[i] = diffIDs(images)
	}
	if len(layers[0]) < 2 || !slices.Equal(layers[0], layers[1]) {
		t.Errorf("two builders made %q and %q", layers[0], layers[1])
	}
}

// TestDerivedBuildLeavesTheBaseInTheRegistry: nothing of the base is downloaded or uploaded when copies are all that is added.
func TestDerivedBuildLeavesTheBaseInTheRegistry(t *testing.T) {
	base, _ := build(t, files{
		"Kubefile": "FROM scratch\nLABEL io.kubefile.kubernetes.version=v1.34.4\nCOPY a.yaml manifests/\nCMD first\n",
		"a.yaml":   pod("docker.io/library/redis:8"),
	})
	content := files{
		"Kubefile": "FROM " + base + "\nWORKDIR /opt\nCOPY b.yaml /manifests/\nADD http://" + lab.Upstream + "/files/dashboard/recommended.yaml .\nCMD second\n",
		"b.yaml":   pod("quay.io/lab/app:v1", "docker.io/library/redis:8"),
	}
	before := accessLog(t)
	ref := newName(t)
	buildOn(t, newBuilder(t), content.write(t), ref)
	log := accessLog(t)[len(before):]

	below, image := pull(t, base, "linux/amd64"), pull(t, ref, "linux/amd64")
	image.checkStore(t, append(dashboardImages, "docker.io/library/redis:8", "quay.io/lab/app:v1")...)
	hasLayersOf(t, ref, base, "linux/amd64")
	for i, layer := range below.manifest.Layers {
		for _, line := range strings.Split(log, "\n") {
			if strings.Contains(line, layer.Digest.String()) && !regexp.MustCompile(`"(HEAD|POST) /v2/[^"]*" `).MatchString(line) {
				t.Errorf("a layer of the base was moved: %s", line)
			}
		}
		if !strings.Contains(log, "mount="+layer.Digest.String()) && !strings.Contains(log, "mount="+strings.Replace(layer.Digest.String(), ":", "%3A", 1)) {
			t.Errorf("layer %d of the base was not mounted", i+1)
		}
	}
	// the derived image has no second runner
	rootfs, _ := image.split(t)
	runners := 0
	for _, l := range rootfs {
		if slices.Contains(names(image.entries(t, l.Descriptor)), ".kubefile/sealer-run") {
			runners++
		}
	}
	if runners != 1 {
		t.Errorf("%d layers hold the runner", runners)
	}
}

func accessLog(t *testing.T) string {
	t.Helper()
	dt, err := os.ReadFile(lab.RegistryAccessLog)
	if err != nil {
		t.Fatal(err)
	}
	return string(dt)
}

func TestImagesOfTheBaseAreNotEmbeddedAgain(t *testing.T) {
	t.Parallel()
	base, _ := build(t, files{
		"Kubefile": "FROM scratch\nLABEL io.kubefile.kubernetes.version=v1.34.4\nCOPY a.yaml manifests/\n",
		"a.yaml":   pod("docker.io/library/redis:8"),
	})
	top := pull(t, base, "linux/amd64").describe(t).Lock.Images[0].Digest
	pinned := "docker.io/library/redis@" + top.String()
	ref, _ := build(t, files{
		"Kubefile": "FROM " + base + "\nCOPY b.yaml manifests/\n",
		"b.yaml":   pod("redis:8", pinned),
	})
	image := pull(t, ref, "linux/amd64")
	image.checkStore(t, "docker.io/library/redis:8", pinned)
	_, images := image.split(t)
	for _, name := range names(image.entries(t, images[len(images)-1].Descriptor)) {
		if strings.HasPrefix(name, "registry/blobs/sha256/") && len(name) > len("registry/blobs/sha256/") {
			t.Errorf("the derived image has %s again", name)
		}
	}
	found := image.describe(t).Lock.Images[0].Found
	if len(found) != 2 {
		t.Errorf("redis:8 was found at %+v, want a place in the base and one in the derived image", found)
	}
}

// TestManyImagesMakeFewLayers: a hundred images build, and small blobs share a layer.
func TestManyImagesMakeFewLayers(t *testing.T) {
	t.Parallel()
	var references []string
	for n := range 50 {
		references = append(references, fmt.Sprintf("quay.io/lab/many:v%d", n), fmt.Sprintf("gcr.io/lab/other:v%d", n))
	}
	ref, _ := build(t, files{"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": pod(references...)})
	image := pull(t, ref, "linux/amd64")
	image.checkStore(t, references...)
	if _, images := image.split(t); len(images) != 1 {
		t.Errorf("%d image layers", len(images))
	}
}

// TestFrontendImageIsSmall: 32 MB of compressed layers for each platform are the bar, runner and toolbox included.
func TestFrontendImageIsSmall(t *testing.T) {
	t.Parallel()
	for _, platform := range []string{"linux/amd64", "linux/arm64"} {
		size := int64(0)
		for _, layer := range pull(t, lab.Frontend, platform).manifest.Layers {
			size += layer.Size
		}
		if size == 0 || size > 32_000_000 {
			t.Errorf("%s: %d bytes", platform, size)
		}
	}
}
