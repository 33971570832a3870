//go:build lab

package images

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// TestFlannelIsThatOfTheManifest compares with the manifest that comes with the pinned version of flannel.
func TestFlannelIsThatOfTheManifest(t *testing.T) {
	download := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", "github.com/flannel-io/flannel")
	download.Dir = "../../tools/cluster"
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
