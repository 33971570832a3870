package images

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
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

// TestFlannelIsThatOfTheManifest compares with the manifest that comes with the pinned version of flannel.
func TestFlannelIsThatOfTheManifest(t *testing.T) {
	download := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", "github.com/flannel-io/flannel")
	download.Dir = "../../tools"
	output, err := download.Output()
	if err != nil {
		t.Fatalf("%s: %v", download, err)
	}
	var module struct{ Version, Dir string }
	if err := json.Unmarshal(output, &module); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"ghcr.io/flannel-io/flannel-cni-plugin:" + flannelPluginTag,
		"ghcr.io/flannel-io/flannel:" + module.Version,
	}
	if got := imagesOf(t, filepath.Join(module.Dir, "Documentation", "kube-flannel.yml")); !slices.Equal(got, want) {
		t.Errorf("the manifest has %q, made are %q", got, want)
	}
}
