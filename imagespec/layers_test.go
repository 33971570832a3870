package imagespec_test

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
)

func TestRootfsFirst(t *testing.T) {
	// r is a rootfs layer, i an image layer, e an entry without a layer, - a layer that the history has not
	for layers, want := range map[string]int{
		"ri": 1, "rrrii": 3, "erei": 1, "rie": 1,
		"": 0, "e": 0, "r": 0, "rr": 0, "i": 0, "ir": 0, "rir": 0, "rirri": 0, "ri-": 0, "-": 0,
	} {
		var config ocispec.Image
		for _, layer := range strings.Split(layers, "") {
			entry := ocispec.History{EmptyLayer: layer == "e"}
			if layer == "i" {
				entry.Comment = imagespec.HistoryImages
			}
			if layer != "-" {
				config.History = append(config.History, entry)
			}
			if layer != "e" {
				config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromString(layer))
			}
		}
		if got, ok := imagespec.RootfsFirst(config); got != want || ok != (want > 0) {
			t.Errorf("%q: %d %v, want %d", layers, got, ok, want)
		}
	}
}
