package source

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/source/layerfs"
)

// dockerManifest lists the images of a docker archive.
const dockerManifest = "manifest.json"

// dockerEntry is one image in it, as `docker save` has written it since 1.10.
type dockerEntry struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// dockerImage is one image of a docker archive without OCI layout, under an OCI
// manifest made for it.
type dockerImage struct {
	tree     *tarFiles
	manifest []byte
	paths    map[digest.Digest]string
}

// openDocker makes an OCI manifest for the image that selector names.
func openDocker(tree *tarFiles, selector string) (*dockerImage, ocispec.Descriptor, error) {
	none := ocispec.Descriptor{}
	entry, err := dockerChoose(tree, selector)
	if err != nil {
		return nil, none, err
	}
	raw, err := readAll(tree, entry.Config, imagespec.MaxManifestSize)
	if err != nil {
		return nil, none, dockerMissing(err)
	}
	var config ocispec.Image
	if err := json.Unmarshal(raw, &config); err != nil {
		return nil, none, fmt.Errorf("%s: %w: %w", entry.Config, ErrDamaged, err)
	}
	// The config's name is its digest; it is the root that all else hangs on.
	configDigest := digest.FromBytes(raw)
	if !strings.Contains(entry.Config, configDigest.Encoded()) {
		return nil, none, fmt.Errorf("%s: %w: its digest is %s", entry.Config, ErrDamaged, configDigest)
	}
	if len(entry.Layers) != len(config.RootFS.DiffIDs) || len(entry.Layers) > imagespec.MaxLayers {
		return nil, none, fmt.Errorf("%s: %w: %d layers for %d diff IDs", dockerManifest, ErrDamaged, len(entry.Layers), len(config.RootFS.DiffIDs))
	}
	image := &dockerImage{tree: tree, paths: map[digest.Digest]string{configDigest: entry.Config}}
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: configDigest, Size: int64(len(raw))},
	}
	for i, path := range entry.Layers {
		layer, err := dockerLayer(tree, path, config.RootFS.DiffIDs[i])
		if err != nil {
			return nil, none, fmt.Errorf("layer %d of %d: %w", i+1, len(entry.Layers), err)
		}
		manifest.Layers = append(manifest.Layers, layer)
		image.paths[layer.Digest] = path
	}
	if image.manifest, err = json.Marshal(manifest); err != nil {
		return nil, none, err
	}
	return image, ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest,
		Digest:    digest.FromBytes(image.manifest),
		Size:      int64(len(image.manifest)),
	}, nil
}

// dockerChoose finds the image that selector names, or the only one.
func dockerChoose(tree *tarFiles, selector string) (dockerEntry, error) {
	raw, err := readAll(tree, dockerManifest, imagespec.MaxManifestSize)
	if err != nil {
		return dockerEntry{}, err
	}
	var entries []dockerEntry
	if err := json.Unmarshal(raw, &entries); err != nil {
		return dockerEntry{}, fmt.Errorf("%s: %w: %w", dockerManifest, ErrDamaged, err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.RepoTags...)
	}
	fit := slices.DeleteFunc(entries, func(e dockerEntry) bool {
		return selector != "" && !slices.ContainsFunc(e.RepoTags, func(tag string) bool {
			return tag == selector || strings.HasSuffix(tag, ":"+selector)
		})
	})
	switch {
	case len(fit) == 1:
		return fit[0], nil
	case len(fit) == 0:
		return dockerEntry{}, fmt.Errorf("%w: no image %q in it; there are: %s", ErrNotFound, selector, strings.Join(names, ", "))
	}
	return dockerEntry{}, fmt.Errorf("%w in it: %s; choose one by PATH:TAG", ErrAmbiguous, strings.Join(names, ", "))
}

// dockerLayer describes a layer. Docker's own are uncompressed, so their digest
// is the diff ID. Other tools compress them; then the digest is found by reading,
// and only the diff ID shows whether the bytes are the right ones.
func dockerLayer(tree *tarFiles, path string, diffID digest.Digest) (ocispec.Descriptor, error) {
	layer := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: diffID}
	r, size, err := tree.open(path)
	if err != nil {
		return layer, dockerMissing(err)
	}
	defer r.Close()
	layer.Size = size
	head := bufio.NewReader(r)
	layer.MediaType = layerfs.LayerType(head)
	if layer.MediaType == ocispec.MediaTypeImageLayer {
		return layer, nil
	}
	sum := digest.Canonical.Digester()
	raw := io.TeeReader(head, sum.Hash())
	stream, err := layerfs.Decompress(raw)
	if err != nil {
		return layer, fmt.Errorf("%s: %w: %w", path, ErrDamaged, err)
	}
	defer stream.Close()
	content, err := digest.FromReader(stream)
	if err != nil {
		return layer, fmt.Errorf("%s: %w: %w", path, ErrDamaged, err)
	}
	if content != diffID {
		return layer, fmt.Errorf("%s: %w: its diff ID is %s instead of %s", path, ErrDamaged, content, diffID)
	}
	if _, err := io.Copy(io.Discard, raw); err != nil {
		return layer, err
	}
	layer.Digest = sum.Digest()
	return layer, nil
}

// dockerMissing says that a file that manifest.json names is not there.
func dockerMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

func (d *dockerImage) Close() error { return d.tree.Close() }

// Fetch opens the manifest that was made, the config, or a layer.
func (d *dockerImage) Fetch(_ context.Context, descriptor ocispec.Descriptor) (io.ReadCloser, error) {
	path, ok := d.paths[descriptor.Digest]
	if !ok {
		return io.NopCloser(bytes.NewReader(d.manifest)), nil // verified by whoever reads
	}
	r, _, err := d.tree.open(path)
	return r, err
}
