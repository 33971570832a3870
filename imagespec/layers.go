package imagespec

import (
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Layer is one layer of a cluster image.
type Layer struct {
	Descriptor ocispec.Descriptor // of the blob as it is shipped
	DiffID     digest.Digest      // of the uncompressed tar
}

// ImageLayers distinguishes the layers that every host needs from layers that hold only embedded images, by the marks in the config's
// history (SPEC.md, section 5). Both keep their order.
func ImageLayers(manifest ocispec.Manifest, config ocispec.Image) (rootfs, images []Layer, err error) {
	if len(manifest.Layers) > MaxLayers {
		return nil, nil, fmt.Errorf("%w: %d layers", ErrInvalid, len(manifest.Layers))
	}
	if len(manifest.Layers) != len(config.RootFS.DiffIDs) {
		return nil, nil, fmt.Errorf("%w: %d layers, %d diff IDs", ErrInvalid, len(manifest.Layers), len(config.RootFS.DiffIDs))
	}
	var comments []string
	for _, entry := range config.History {
		if !entry.EmptyLayer {
			comments = append(comments, entry.Comment)
		}
	}
	if len(comments) != len(manifest.Layers) {
		return nil, nil, fmt.Errorf("%w: %d layers, %d layers in the history", ErrInvalid, len(manifest.Layers), len(comments))
	}
	for i, descriptor := range manifest.Layers {
		layer := Layer{Descriptor: descriptor, DiffID: config.RootFS.DiffIDs[i]}
		if err := layer.validate(); err != nil {
			return nil, nil, fmt.Errorf("layer %d: %w", i+1, err)
		}
		if comments[i] == HistoryImages {
			images = append(images, layer)
		} else {
			rootfs = append(rootfs, layer)
		}
	}
	return rootfs, images, nil
}

// RootfsFirst returns how many layers an image has below its image layers, by its config alone. It is false if there is a rootfs layer
// above one of those, if there are none of either class, and if history and layers disagree.
func RootfsFirst(config ocispec.Image) (int, bool) {
	layers, rootfs := 0, 0
	for _, entry := range config.History {
		if entry.EmptyLayer {
			continue
		}
		if entry.Comment != HistoryImages {
			if rootfs < layers {
				return 0, false
			}
			rootfs++
		}
		layers++
	}
	if layers != len(config.RootFS.DiffIDs) || rootfs == 0 || rootfs == layers {
		return 0, false
	}
	return rootfs, true
}

func (l Layer) validate() error {
	if err := checkDescriptor(l.Descriptor); err != nil {
		return err
	}
	return checkDigest(l.DiffID)
}
