package audit

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/source/layerfs"
)

// auditedImage is the audit of the image for one platform.
type auditedImage struct {
	*audit
	platform string
	manifest ocispec.Manifest
	config   ocispec.Image

	rootfs    *layerfs.Rootfs
	inventory *imagespec.Inventory
	lock      []byte // the last lock file of the rootfs layers; nil: none
	hasRunner bool
	broken    bool // a layer could not be read to its end
}

// check checks labels, layers, lock and store.
func (i *auditedImage) check(ctx context.Context, d ocispec.Descriptor) error {
	if i.platform == "" {
		i.platform = source.PlatformName(i.config.Platform)
	}
	where := "config " + i.manifest.Config.Digest.String()
	description, err := imagespec.Describe(i.config)
	if err == nil && d.Platform != nil && !source.Matches(*d.Platform, i.config.Platform) {
		err = fmt.Errorf("%w: its platform is %s", imagespec.ErrInvalid, imagespec.FormatPlatform(i.config.Platform))
	}
	if err != nil {
		if err := i.problem(ctx, i.platform, where, err); err != nil {
			return err
		}
	}
	rootfs, images, err := imagespec.ImageLayers(i.manifest, i.config)
	if err != nil {
		if err := i.problem(ctx, i.platform, where, err); err != nil {
			return err
		}
		return i.blobs(ctx, i.platform, i.manifest.Layers)
	}
	summary := Platform{Platform: i.platform, Digest: d.Digest, Layers: len(i.manifest.Layers)}
	for _, layer := range i.manifest.Layers {
		summary.Bytes += layer.Size
	}
	if description != nil {
		summary.Images = len(description.Lock.Images)
	}
	i.result.Platforms = append(i.result.Platforms, summary)
	if err := i.layers(ctx, rootfs, images); err != nil || description == nil {
		return err
	}
	return errors.Join(i.store(ctx, description), i.files(ctx, description))
}

// layers reads all layers: those of the rootfs as a host unpacks them.
func (i *auditedImage) layers(ctx context.Context, rootfsLayers, imageLayers []imagespec.Layer) error {
	number := 0
	i.rootfs = layerfs.NewRootfs(func(string) bool { return false })
	i.inventory = imagespec.NewInventory()
	for _, class := range []struct {
		layers []imagespec.Layer
		visit  func(*tar.Header, string, io.Reader) error
	}{{rootfsLayers, i.rootfsFile}, {imageLayers, i.storeFile}} {
		for _, layer := range class.layers {
			number++
			i.rootfs.Next()
			if i.progress != nil {
				i.progress(i.platform, number, len(i.manifest.Layers), layer.Descriptor.Size)
			}
			if err := i.layer(ctx, layer, class.visit); err != nil {
				return err
			}
		}
	}
	return nil
}

// layer reads one layer. What is wrong with a file in it does not end it.
func (i *auditedImage) layer(ctx context.Context, layer imagespec.Layer, visit func(*tar.Header, string, io.Reader) error) error {
	where := "layer " + layer.Descriptor.Digest.String()
	i.seen[layer.Descriptor.Digest] = true
	blob, err := i.open(ctx, layer.Descriptor)
	if err != nil {
		i.broken = true
		return i.problem(ctx, i.platform, where, err)
	}
	defer blob.Close()
	failed := &layerfs.Failing{Reader: blob}
	var ended error // why the audit is to end
	err = layerfs.ReadWithin(failed, layer.DiffID, decompressedLimit(layer.Descriptor.Size), func(header *tar.Header, name string, content io.Reader) error {
		err := visit(header, name, content)
		if err != nil && failed.Err == nil {
			ended = i.problem(ctx, i.platform, where+" file "+name, err)
			err = ended
		}
		return err
	})
	switch {
	case ended != nil:
		return ended
	case err == nil:
		return nil
	case failed.Err != nil:
		err = failed.Err
	}
	i.broken = true
	return i.problem(ctx, i.platform, where, err)
}

// rootfsFile checks a file of a rootfs layer.
func (i *auditedImage) rootfsFile(header *tar.Header, name string, content io.Reader) error {
	if header.Typeflag == tar.TypeReg && name == imagespec.LockPath {
		data, err := io.ReadAll(io.LimitReader(content, imagespec.MaxLockSize+1))
		if err != nil {
			return err
		}
		i.lock, content = data, bytes.NewReader(data)
	}
	if header.Typeflag == tar.TypeReg && name == imagespec.RunnerPath {
		i.hasRunner = true
	}
	if i.broken {
		return nil // what is missing below may make this wrong
	}
	return i.rootfs.Apply(header, name, content)
}

// storeFile checks a file of an image layer.
func (i *auditedImage) storeFile(header *tar.Header, name string, content io.Reader) error {
	mode, err := layerfs.EntryType(header)
	if err != nil {
		return err
	}
	return i.inventory.Add(name, mode, header.Size, content)
}

// store compares the embedded store with the lock.
func (i *auditedImage) store(ctx context.Context, d *imagespec.Description) error {
	const where = "embedded images"
	if i.broken {
		i.warn(i.platform, where, "not compared with the lock, because a layer could not be read")
		return nil
	}
	found, err := i.inventory.Problems(ctx, d.Lock, d.Platform)
	if err != nil {
		found = append(found, err)
	}
	for _, err := range found {
		if err := i.problem(ctx, i.platform, where, err); err != nil {
			return err
		}
	}
	if len(found) > 0 {
		return nil
	}
	unused, err := i.inventory.Unreferenced()
	for _, blob := range unused {
		i.warn(i.platform, where, fmt.Sprintf("no reference leads to blob %s", blob))
	}
	return err
}

// files checks the lock file, which has to be the lock of the label, and that there is a runner.
func (i *auditedImage) files(ctx context.Context, d *imagespec.Description) error {
	if i.broken {
		return nil
	}
	if !i.hasRunner {
		if err := i.problem(ctx, i.platform, imagespec.RunnerPath, source.ErrNoRunner); err != nil {
			return err
		}
	}
	want, err := d.Lock.Label()
	if err != nil {
		return err
	}
	if i.lock == nil {
		if len(d.Lock.Images) == 0 {
			return nil
		}
		return i.problem(ctx, i.platform, imagespec.LockPath, fmt.Errorf("%w: it is missing", imagespec.ErrInvalid))
	}
	lock, err := imagespec.ParseLock(i.lock)
	if err != nil {
		return i.problem(ctx, i.platform, imagespec.LockPath, err)
	}
	if got, err := lock.Label(); err != nil || got != want {
		return i.problem(ctx, i.platform, imagespec.LockPath, fmt.Errorf("%w: it is not the lock of the label %s", imagespec.ErrInvalid, imagespec.LabelImages))
	}
	return nil
}
