//go:build release

package release

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/kubefile/kubefile/imagespec"
)

// TestPublish publishes the frontend as a release, and builds with it.
func TestPublish(t *testing.T) {
	lab, dir := readLab(t), clone(t)
	registry := lab.Registry + "/publish"
	refused(t, dir, "REGISTRY=", "publish")
	refused(t, dir, "vMAJOR.MINOR.PATCH", "publish", "REGISTRY="+registry, "VERSION=1.2.3")
	out := succeed(t, dir, lab.Lines(), "make", "publish", "REGISTRY="+registry, "VERSION=v1.2.3", "BASES=")
	repo, err := remote.NewRepository(registry + "/frontend")
	if err != nil {
		t.Fatal(err)
	}
	repo.PlainHTTP = true
	index := resolve(t, repo, "1.2.3")
	for _, tag := range []string{"1.2", "1"} {
		if got := resolve(t, repo, tag); got.Digest != index.Digest || !strings.Contains(out, "published "+registry+"/frontend:"+tag+"\n") {
			t.Errorf("tag %s is %s, want %s, and a line about it in:\n%s", tag, got.Digest, index.Digest, out)
		}
	}
	checkIndex(t, repo, index)
	succeed(t, dir, lab.Lines(), "make", "publish", "REGISTRY="+registry, "VERSION=v2.0.0-rc.1", "BASES=", "PLATFORMS=linux/amd64")
	if got := platformsOf(t, repo, resolve(t, repo, "2.0.0-rc.1")); !slices.Equal(got, []string{"linux/amd64"}) {
		t.Errorf("got platforms %q, want linux/amd64 alone", got)
	}
	if got := resolve(t, repo, "1"); got.Digest != index.Digest {
		t.Error("a pre-release moves the tag 1")
	}
	if _, err := repo.Resolve(t.Context(), "2"); err == nil {
		t.Error("a pre-release makes the tag 2")
	}
	buildWith(t, registry)
}

func resolve(t *testing.T, repo *remote.Repository, tag string) ocispec.Descriptor {
	t.Helper()
	d, err := repo.Resolve(t.Context(), tag)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func fetch(t *testing.T, repo *remote.Repository, d ocispec.Descriptor, into any) {
	t.Helper()
	data, err := content.FetchAll(t.Context(), repo, d)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// platformsOf returns the platforms of an index, without its attestations.
func platformsOf(t *testing.T, repo *remote.Repository, d ocispec.Descriptor) (platforms []string) {
	t.Helper()
	var index ocispec.Index
	fetch(t, repo, d, &index)
	for _, child := range index.Manifests {
		if child.Annotations["vnd.docker.reference.type"] == "" {
			platforms = append(platforms, child.Platform.OS+"/"+child.Platform.Architecture)
		}
	}
	return platforms
}

// checkIndex wants both platforms, each with its labels, SBOM and provenance.
func checkIndex(t *testing.T, repo *remote.Repository, d ocispec.Descriptor) {
	t.Helper()
	var index ocispec.Index
	fetch(t, repo, d, &index)
	var platforms, predicates []string
	for _, child := range index.Manifests {
		var manifest ocispec.Manifest
		fetch(t, repo, child, &manifest)
		if child.Annotations["vnd.docker.reference.type"] == "attestation-manifest" {
			for _, layer := range manifest.Layers {
				predicates = append(predicates, layer.Annotations["in-toto.io/predicate-type"])
			}
			continue
		}
		var image ocispec.Image
		fetch(t, repo, manifest.Config, &image)
		platforms = append(platforms, image.OS+"/"+image.Architecture)
		labels := image.Config.Labels
		if labels[ocispec.AnnotationVersion] != "v1.2.3" || len(labels[ocispec.AnnotationRevision]) != 40 || labels[ocispec.AnnotationLicenses] != "Apache-2.0" {
			t.Errorf("%s: got labels %v", image.Architecture, labels)
		}
		if created := image.Created.Format("2006-01-02T15:04:05Z07:00"); created != labels[ocispec.AnnotationCreated] {
			t.Errorf("%s: the image was created %s, and its label is %s", image.Architecture, created, labels[ocispec.AnnotationCreated])
		}
	}
	if want := []string{"linux/amd64", "linux/arm64"}; !slices.Equal(platforms, want) {
		t.Errorf("got platforms %q, want %q", platforms, want)
	}
	for _, want := range []string{"https://spdx.dev/Document", "https://slsa.dev/provenance/"} {
		if n := len(slices.DeleteFunc(slices.Clone(predicates), func(p string) bool { return !strings.HasPrefix(p, want) })); n != 2 {
			t.Errorf("got %d attestations of type %s, want one for each platform: %q", n, want, predicates)
		}
	}
}

// buildWith builds an application with the published frontend, as its first line names it.
func buildWith(t *testing.T, registry string) {
	t.Helper()
	lab, dir := readLab(t), t.TempDir()
	kubefile := "# syntax=" + registry + "/frontend:1\nFROM scratch\nCMD kubectl run web --image=docker.io/library/busybox:1.35\n"
	if err := os.WriteFile(filepath.Join(dir, "Kubefile"), []byte(kubefile), 0o644); err != nil {
		t.Fatal(err)
	}
	succeed(t, dir, lab.Lines(), "docker", "buildx", "build", "-f", "Kubefile", "--build-arg", "KUBEFILE_MIRRORS", "--provenance=false",
		"--tag", registry+"/app:v1", "--push", ".")
	repo, err := remote.NewRepository(registry + "/app")
	if err != nil {
		t.Fatal(err)
	}
	repo.PlainHTTP = true
	_, data, err := oras.FetchBytes(t.Context(), repo, "v1", oras.DefaultFetchBytesOptions)
	if err != nil {
		t.Fatal(err)
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(data, &manifest); err != nil {
		t.Fatal(err)
	}
	var image ocispec.Image
	fetch(t, repo, manifest.Config, &image)
	description, err := imagespec.Describe(image)
	if err != nil || description.Frontend != "v1.2.3" || len(description.Lock.Images) != 1 {
		t.Errorf("got %v, %+v, want an image of frontend v1.2.3 with one embedded image", err, description)
	}
}
