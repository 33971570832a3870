package layers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/agent/clusterdir"
	"github.com/kubefile/kubefile/runner/agent/wire"
)

// layerContents are the image layers on a host. One whose marker is damaged is nil.
type layerContents map[digest.Digest]*layerContent

// readLayers reads the markers of all image layers. A damaged one of a layer that is kept is an error: what it needs is not known.
func readLayers(root *os.Root, kept func(digest.Digest) bool) (layerContents, error) {
	found := layerContents{}
	digests, err := digestsIn(root, layersDir, ".json")
	if err != nil {
		return nil, err
	}
	for _, d := range digests {
		name, err := marker(d)
		if err != nil {
			return nil, err
		}
		var content layerContent
		if err := clusterdir.ReadJSON(root, name, &content); err == nil {
			found[d] = &content
		} else if kept(d) {
			return nil, fmt.Errorf("image layer %s: %w: %w", d, wire.ErrDamaged, err)
		} else {
			found[d] = nil
		}
	}
	return found, nil
}

// sum returns what the chosen layers brought together.
func (l layerContents) sum(chosen func(digest.Digest) bool) (blobs map[digest.Digest]bool, refs map[string]ocispec.Descriptor) {
	blobs, refs = map[digest.Digest]bool{}, map[string]ocispec.Descriptor{}
	for _, d := range slices.Sorted(maps.Keys(l)) {
		if l[d] == nil || !chosen(d) {
			continue
		}
		for _, b := range l[d].Blobs {
			blobs[b.Digest] = true
		}
		maps.Copy(refs, l[d].Refs)
	}
	return blobs, refs
}

// digestsIn lists the files of a directory that are named by digests, with an ending.
func digestsIn(root *os.Root, dir, ending string) ([]digest.Digest, error) {
	entries, err := clusterdir.ReadDir(root, path.Join(dir, digest.SHA256.String()))
	if err != nil {
		return nil, err
	}
	var found []digest.Digest
	for _, entry := range entries {
		encoded, ends := strings.CutSuffix(entry.Name(), ending)
		d := digest.NewDigestFromEncoded(digest.SHA256, encoded)
		if ends && d.Validate() == nil { // others are files that are being written
			found = append(found, d)
		}
	}
	slices.Sort(found)
	return found, nil
}

// unneeded lists the layers in a cluster's directory that are not among keep: those of the rootfs as they were received, and those of images.
func unneeded(root *os.Root, keep []digest.Digest) ([]wire.Unneeded, error) {
	kept := func(d digest.Digest) bool { return slices.Contains(keep, d) }
	blobs, err := digestsIn(root, ocispec.ImageBlobsDir, "")
	if err != nil {
		return nil, err
	}
	var found []wire.Unneeded
	for _, d := range blobs {
		if !kept(d) {
			found = append(found, wire.Unneeded{Digest: d})
		}
	}
	layers, err := readLayers(root, kept)
	if err != nil {
		return nil, err
	}
	_, needed := layers.sum(kept)
	for _, d := range slices.Sorted(maps.Keys(layers)) {
		if kept(d) {
			continue
		}
		layer := wire.Unneeded{Digest: d}
		if layers[d] != nil {
			layer.References = referencesWithout(layers[d].Refs, needed)
		}
		found = append(found, layer)
	}
	return found, nil
}

// referencesWithout are the references in full form that are not needed.
func referencesWithout(refs, needed map[string]ocispec.Descriptor) (full []string) {
	for _, name := range slices.Sorted(maps.Keys(refs)) {
		if _, stays := needed[name]; stays {
			continue
		}
		if reference, err := imagespec.RefFromPath(name); err == nil { // only such names get into a marker
			full = append(full, reference)
		}
	}
	return full
}

// RemoveLayers removes layers, and of the store what no other layer has. The store never names what is not there: references go first. The
// marker of a layer goes last, so that a removal that was interrupted is found.
func RemoveLayers(ctx context.Context, r wire.RemoveLayersRequest) (answer wire.RemoveLayersAnswer, err error) {
	root, err := clusterdir.OpenDir(r.Dir)
	if err != nil {
		return answer, err
	}
	defer root.Close()
	lock, err := clusterdir.LockWork(ctx, root)
	if err != nil {
		return answer, err
	}
	defer lock.Close()
	removed := func(d digest.Digest) bool { return slices.Contains(r.Layers, d) }
	kept := func(d digest.Digest) bool { return !removed(d) }
	layers, err := readLayers(root, kept)
	if err != nil {
		return answer, err
	}
	stay, needed := layers.sum(kept)
	blobs, refs := layers.sum(removed)
	if len(layers) > 0 {
		if err := removeRefs(root, refs, needed, stay); err != nil {
			return answer, err
		}
	}
	for _, d := range slices.Sorted(maps.Keys(blobs)) {
		if !stay[d] {
			err = errors.Join(err, removeBlob(root, StoreDir, d, &answer.Bytes))
		}
	}
	for _, d := range r.Layers {
		err = errors.Join(err, removeBlob(root, "", d, &answer.Bytes))
	}
	if err != nil {
		return answer, err
	}
	for _, d := range r.Layers {
		name, err := marker(d)
		if err != nil {
			return answer, err
		}
		if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return answer, err
		}
	}
	return answer, nil
}

// removeRefs removes references that no layer needs any longer, and corrects those that an image put there which goes. blobs are those that stay.
func removeRefs(root *os.Root, refs, needed map[string]ocispec.Descriptor, blobs map[digest.Digest]bool) error {
	store, err := openStore(root)
	if err != nil {
		return err
	}
	defer store.Close()
	var did wire.Changed
	for _, name := range slices.Sorted(maps.Keys(refs)) {
		want, stays := needed[name]
		if !stays {
			if err := removeUp(store, name); err != nil {
				return err
			}
			continue
		}
		var now ocispec.Descriptor
		if err := clusterdir.ReadJSON(store, name, &now); err == nil && blobs[now.Digest] {
			continue
		}
		if err := writeChanged(&did, store, name, want); err != nil {
			return err
		}
	}
	index, err := indexOf(store)
	if err != nil {
		return err
	}
	if err := writeChanged(&did, store, ocispec.ImageIndexFile, index); err != nil {
		return err
	}
	return clusterdir.SyncFS(store)
}

// removeUp removes a file, and the directories that are empty then: the names of a registry and its repositories.
func removeUp(root *os.Root, name string) error {
	for at := name; strings.Contains(at, "/"); at = path.Dir(at) {
		err := root.Remove(at)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			if at == name {
				return err
			}
			return nil // it has other references
		}
	}
	return nil
}

// removeBlob removes a blob of a layout and adds its size to bytes.
func removeBlob(root *os.Root, layout string, d digest.Digest, bytes *int64) error {
	name, err := blobFile(wire.Blob{Digest: d}, layout)
	if err != nil {
		return err
	}
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = root.Remove(name)
	}
	if err == nil {
		*bytes += info.Size()
	}
	return err
}
