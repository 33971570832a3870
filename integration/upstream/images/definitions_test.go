package images

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/distribution/reference"
)

// imagesOf returns the images of a manifest as full references, sorted.
func imagesOf(t *testing.T, manifest string) []string {
	t.Helper()
	data, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, match := range regexp.MustCompile(`(?m)^\s*image: (\S+)$`).FindAllSubmatch(data, -1) {
		named, err := reference.ParseNormalizedNamed(string(match[1]))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, named.String())
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestDashboardIsThatOfTheManifest(t *testing.T) {
	var defined []string
	for _, d := range (Sources{}).dashboard() {
		defined = append(defined, d.References...)
	}
	if want := imagesOf(t, "../../testdata/dashboard/recommended.yaml"); !slices.Equal(defined, want) {
		t.Errorf("defined are %q, the manifest has %q", defined, want)
	}
}
