//go:build lab

package build

import (
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
)

// TestVersions: a built image names the version of the frontend's image, and a derived image names the version of its own build.
func TestVersions(t *testing.T) {
	t.Parallel()
	frontend := pull(t, lab.Frontend, "linux/amd64").config.Config.Labels
	want := frontend[ocispec.AnnotationVersion]
	if want == "" || frontend[ocispec.AnnotationRevision] == "" || frontend[ocispec.AnnotationCreated] == "" || frontend[ocispec.AnnotationLicenses] != "Apache-2.0" {
		t.Errorf("the labels of the frontend's image are %v, want version, revision, created and licenses", frontend)
	}
	base, _ := build(t, files{"Kubefile": "FROM scratch\nCOPY a .\nLABEL io.kubefile.frontend=v0.0.1\n", "a": "a"})
	derived, _ := build(t, files{"Kubefile": "FROM " + base + "\nCOPY b .\n", "b": "b"})
	for name, ref := range map[string]string{"base": base, "derived": derived} {
		if got := pull(t, ref, "linux/amd64").config.Config.Labels[imagespec.LabelFrontend]; got != want {
			t.Errorf("the label of the %s image is %q, want %q", name, got, want)
		}
	}
}
