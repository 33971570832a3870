package frontend

import (
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/llb"
)

// TestTheLayoutIsNotInherited: where the topmost layer of a base is the layout of its store, a derived image has its other image layers and
// their history, and any other topmost layer is inherited.
func TestTheLayoutIsNotInherited(t *testing.T) {
	rootfs := ocispec.History{CreatedBy: "COPY"}
	images := ocispec.History{CreatedBy: createdBy + "images", Comment: imagespec.HistoryImages}
	layout := ocispec.History{CreatedBy: createdBy + layoutLayer, Comment: imagespec.HistoryImages}
	empty := ocispec.History{CreatedBy: "CMD", EmptyLayer: true}
	gone := ocispec.History{CreatedBy: createdBy + layoutLayer, Comment: imagespec.HistoryImages, EmptyLayer: true}
	moved := []llb.Layer{{Name: "lock file"}, {Inherited: true, Images: true}}
	lock := ocispec.History{CreatedBy: createdBy + "lock file"}
	for name, tt := range map[string]struct {
		history, derived []ocispec.History
		want             llb.Heights
	}{
		"layout":         {[]ocispec.History{rootfs, images, images, layout}, []ocispec.History{rootfs, lock, images, images}, llb.Heights{Rootfs: 1, Images: 3}},
		"no layout":      {[]ocispec.History{rootfs, images, images}, []ocispec.History{rootfs, lock, images, images}, llb.Heights{Rootfs: 1, Images: 3}},
		"only layout":    {[]ocispec.History{rootfs, layout}, []ocispec.History{rootfs, lock, layout}, llb.Heights{Rootfs: 1, Images: 2}},
		"not topmost":    {[]ocispec.History{rootfs, layout, images}, []ocispec.History{rootfs, lock, layout, images}, llb.Heights{Rootfs: 1, Images: 3}},
		"empty entries":  {[]ocispec.History{rootfs, images, layout, empty}, []ocispec.History{rootfs, empty, lock, images}, llb.Heights{Rootfs: 1, Images: 2}},
		"layout is none": {[]ocispec.History{rootfs, images, gone}, []ocispec.History{rootfs, gone, lock, images}, llb.Heights{Rootfs: 1, Images: 2}},
	} {
		var config ocispec.Image
		config.History = tt.history
		for _, entry := range tt.history {
			if !entry.EmptyLayer {
				config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromString(entry.CreatedBy))
			}
		}
		if got, ok := layerHeights(config); got != tt.want || !ok {
			t.Errorf("%s: heights %v %v, want %v", name, got, ok, tt.want)
		}
		if got := history(tt.history, moved, nil); !slices.Equal(got, tt.derived) {
			t.Errorf("%s: history %v, want %v", name, got, tt.derived)
		}
	}
	if got, ok := layerHeights(ocispec.Image{}); ok {
		t.Errorf("an image without layers has the heights %v", got)
	}
}

// TestTheLayoutIsTheTopmostLayer of all images that have embedded ones, unless there may be one new layer only.
func TestTheLayoutIsTheTopmostLayer(t *testing.T) {
	images := []llb.Layer{{Name: "images of the base", Images: true, Inherited: true}}
	ref := []llb.File{{Path: "registry/refs/a"}}
	for name, tt := range map[string]struct {
		inherited []llb.Layer
		files     []llb.File
		budget    int
		want      []string
	}{
		"own images":       {nil, ref, 2, []string{"images", layoutLayer}},
		"images of a base": {images, nil, 2, []string{"images of the base", layoutLayer}},
		"both":             {images, ref, 2, []string{"images of the base", "images", layoutLayer}},
		"one layer":        {images, ref, 1, []string{"images of the base", "images"}},
		"one layer, base":  {images, nil, 1, []string{"images of the base", "images"}},
		"no images":        {nil, nil, 2, nil},
	} {
		layers, err := storeLayers(tt.inherited, nil, tt.files, tt.budget)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, l := range layers {
			if names = append(names, l.Name); !l.Images {
				t.Errorf("%s: the layer %q is not marked", name, l.Name)
			}
		}
		if !slices.Equal(names, tt.want) {
			t.Errorf("%s: got %q, want %q", name, names, tt.want)
		}
	}
}
