package state

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/imagespec"
)

// ImageLayers are the layers of an image. Hosts keep those of the image that they have and of the one before.
type ImageLayers struct {
	Digest digest.Digest `json:"digest"` // of the image
	// Layers are all of them; none where they are not known.
	Layers []digest.Digest `json:"layers,omitempty"`
}

// keptImages is how many images hosts keep the layers of: the one that runs, and the one before.
const keptImages = 2

// Images are the images that hosts may have layers of, the newest first.
type Images []ImageLayers

// Next returns the images once a run of an image is complete, on a cluster that had another, or the same. What is noted does not count if an
// earlier version of this program changed the image since.
func (i Images) Next(had digest.Digest, image ImageLayers) Images {
	next := Images{image}
	switch {
	case len(i) > 0 && i[0].Digest == had:
		next = append(next, slices.DeleteFunc(slices.Clone(i), func(old ImageLayers) bool { return old.Digest == image.Digest })...)
	case had == image.Digest:
		return i // what the hosts have in addition is not known
	case had != "":
		next = append(next, ImageLayers{Digest: had})
	}
	return next[:min(len(next), keptImages+1)]
}

// Kept returns the layers that hosts keep. It returns none if there is nothing to remove, or if it is not known what the image before needs.
func (i Images) Kept() []digest.Digest {
	if len(i) <= keptImages || len(i[keptImages-1].Layers) == 0 {
		return nil
	}
	var kept []digest.Digest
	for _, image := range i[:keptImages] {
		kept = append(kept, image.Layers...)
	}
	return kept
}

// Removed returns the images once hosts have only the layers that they keep.
func (i Images) Removed() Images { return i[:min(len(i), keptImages)] }

// Digests are those of layers, in their order.
func Digests(layers []imagespec.Layer) (digests []digest.Digest) {
	for _, layer := range layers {
		digests = append(digests, layer.Descriptor.Digest)
	}
	return digests
}

// LayersKey identifies layers in their order.
func LayersKey(layers []digest.Digest) string {
	hash := sha256.New()
	for _, layer := range layers {
		fmt.Fprintln(hash, layer)
	}
	return hex.EncodeToString(hash.Sum(nil))
}
