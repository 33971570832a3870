package layers

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/agent/clusterdir"
	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/source/layerfs"
)

const (
	StoreDir  = imagespec.RegistryDir
	layersDir = "layers"

	maxRefs = clusterdir.MaxState / 4 // bytes of all refs/ files of one layer
)

// layerContent is what an image layer brought: the marker that it is here.
type layerContent struct {
	Blobs []wire.Blob                   `json:"blobs"`
	Refs  map[string]ocispec.Descriptor `json:"refs"` // by their path below the store

	refBytes int
}

// marker is the file that says that an image layer is here.
func marker(layer digest.Digest) (string, error) {
	if err := layer.Validate(); err != nil {
		return "", fmt.Errorf("layer %q: %w: %w", string(layer), wire.ErrInvalid, err)
	}
	return path.Join(layersDir, layer.Algorithm().String(), layer.Encoded()+".json"), nil
}

// readMarker returns what a layer brought, if it is here with all its blobs.
func readMarker(root *os.Root, layer digest.Digest) (*layerContent, bool) {
	file, err := marker(layer)
	if err != nil {
		return nil, false
	}
	data, err := clusterdir.ReadFile(root, file, clusterdir.MaxState)
	if err != nil {
		return nil, false
	}
	var content layerContent
	if json.Unmarshal(data, &content) != nil {
		return nil, false
	}
	for _, b := range content.Blobs {
		if !present(b, root, StoreDir) {
			return nil, false
		}
	}
	return &content, true
}

// PutLayer streams a layer of embedded images into the store. The embedded bytes
// exist once on the disk: each blob is verified against its own name and put in
// place as it comes. References wait in the marker until [CommitImages], so that
// the store never names what is not there.
func PutLayer(r wire.LayerRequest, content io.Reader) (struct{}, error) {
	none := struct{}{}
	root, err := clusterdir.OpenDir(r.Dir)
	if err != nil {
		return none, err
	}
	defer root.Close()
	file, err := marker(r.Digest)
	if err != nil {
		return none, err
	}
	got := &layerContent{Refs: make(map[string]ocispec.Descriptor)}
	err = readLayer(content, r, func(header *tar.Header, name string, content io.Reader) error {
		mode, err := layerfs.EntryType(header)
		if err != nil {
			return err
		}
		file, err := imagespec.ReadStoreFile(name, mode)
		if err != nil {
			return err
		}
		return got.file(root, r.Dir, file, header.Size, content)
	})
	if err != nil {
		return none, fmt.Errorf("image layer %s: %w", r.Digest, err)
	}
	return none, clusterdir.WriteJSON(root, file, got)
}

// readLayer reads a layer as it was shipped.
func readLayer(content io.Reader, r wire.LayerRequest, visit func(header *tar.Header, name string, content io.Reader) error) error {
	return layerfs.Read(layerfs.VerifyBlob(content, ocispec.Descriptor{Digest: r.Digest, Size: r.Size}), r.DiffID, visit)
}

// file takes in one file of the layer. What makes the store a layout is written by commitImages.
func (c *layerContent) file(root *os.Root, dir string, file imagespec.StoreFile, size int64, content io.Reader) error {
	switch {
	case file.Ref != "":
		return c.ref(file.Path, content)
	case file.Blob == "":
		return nil
	}
	b := wire.Blob{Digest: file.Blob, Size: size}
	c.Blobs = append(c.Blobs, b)
	if present(b, root, StoreDir) {
		return nil
	}
	if err := clusterdir.NeedSpace(dir, size); err != nil {
		return err
	}
	return receive(root, StoreDir, b, content)
}

// ref takes in one reference.
func (c *layerContent) ref(name string, content io.Reader) error {
	counted := &io.LimitedReader{R: content, N: maxRefs}
	descriptor, err := imagespec.ReadRef(name, counted)
	if err != nil {
		return err
	}
	if c.refBytes += int(maxRefs - counted.N); c.refBytes > maxRefs {
		return fmt.Errorf("%w: more than %d bytes of references", wire.ErrInvalid, maxRefs)
	}
	c.Refs[name] = descriptor
	return nil
}

// CommitImages makes the references of the given layers valid, a later layer's
// over an earlier one's, and writes what makes the store an OCI layout. It
// changes no file that is right already.
func CommitImages(r wire.CommitRequest) (wire.Changed, error) {
	root, err := clusterdir.OpenDir(r.Dir)
	if err != nil {
		return wire.Changed{}, err
	}
	defer root.Close()
	refs := make(map[string]ocispec.Descriptor)
	for _, layer := range r.Layers {
		content, ok := readMarker(root, layer)
		if !ok {
			return wire.Changed{}, fmt.Errorf("image layer %s: %w: it is not here, or not whole; send it again", layer, wire.ErrDamaged)
		}
		maps.Copy(refs, content.Refs)
	}
	store, err := openStore(root)
	if err != nil {
		return wire.Changed{}, err
	}
	defer store.Close()
	var did wire.Changed
	for _, name := range slices.Sorted(maps.Keys(refs)) {
		d := refs[name]
		if !present(wire.Blob{Digest: d.Digest, Size: d.Size}, store, "") {
			return did, fmt.Errorf("%s: %w: its manifest %s is in no layer", name, wire.ErrDamaged, d.Digest)
		}
		if err := writeChanged(&did, store, name, d); err != nil {
			return did, err
		}
	}
	if err := writeChanged(&did, store, ocispec.ImageLayoutFile, ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}); err != nil {
		return did, err
	}
	index, err := indexOf(store)
	if err != nil {
		return did, err
	}
	if err := writeChanged(&did, store, ocispec.ImageIndexFile, index); err != nil {
		return did, err
	}
	return did, clusterdir.SyncFS(store)
}

func openStore(root *os.Root) (*os.Root, error) {
	if err := root.MkdirAll(StoreDir, 0o755); err != nil {
		return nil, err
	}
	return root.OpenRoot(StoreDir)
}

// indexOf lists the store's references the way of an OCI layout.
func indexOf(store *os.Root) (ocispec.Index, error) {
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	references, err := imagespec.NewStore(store.FS()).References()
	if err != nil {
		return index, err
	}
	for _, name := range slices.Sorted(maps.Keys(references)) {
		d := references[name]
		d.Annotations = map[string]string{ocispec.AnnotationRefName: name}
		index.Manifests = append(index.Manifests, d)
	}
	return index, nil
}

// writeChanged writes a JSON file unless it is right already.
func writeChanged(c *wire.Changed, root *os.Root, name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if old, err := clusterdir.ReadFile(root, name, clusterdir.MaxState); err == nil && bytes.Equal(old, data) {
		return nil
	}
	c.Changed = true
	return clusterdir.Replace(root, name, data, 0o644, false)
}
