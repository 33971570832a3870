package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"runtime"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"oras.land/oras-go/v2/content/oci"

	"github.com/kubefile/kubefile/integration/upstream/image"
)

// recipe is part of the name of a layout: it changes when equal definitions shall give other bytes.
const recipe = "1"

// environmentPath is the search path in all images.
const environmentPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Build makes the images unless the cache has them, and returns the directory of their OCI image layout. Its name depends on
// everything that is in the images, and it has that name only when it is complete. One caller at a time may use a cache.
func Build(ctx context.Context, cache string, definitions []Definition) (layout string, err error) {
	key, err := contentKey(definitions)
	if err != nil {
		return "", err
	}
	parent := filepath.Join(cache, "images")
	layout = filepath.Join(parent, key)
	if _, err := os.Stat(layout); err == nil {
		return layout, nil
	}
	unfinished := filepath.Join(parent, ".unfinished")
	if err := os.RemoveAll(unfinished); err != nil {
		return "", err
	}
	if err := os.MkdirAll(unfinished, 0o755); err != nil {
		return "", err
	}
	store, err := oci.NewWithContext(ctx, unfinished)
	if err != nil {
		return "", err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, d := range definitions {
		group.Go(func() error {
			if err := d.build(ctx, store, unfinished); err != nil {
				return fmt.Errorf("making %s: %w", d.References[0], err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return "", err
	}
	return layout, os.Rename(unfinished, layout)
}

// build writes the image to the store: real for linux/amd64, with a placeholder for linux/arm64 beside it.
func (d Definition) build(ctx context.Context, store *oci.Store, scratch string) error {
	real := image.Platform{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, Config: d.Config}
	real.Config.Env = append([]string{environmentPath}, d.Config.Env...)
	for _, entries := range d.Layers {
		if err := ctx.Err(); err != nil {
			return err
		}
		layer, err := pushLayer(ctx, store, scratch, d.compression(), entries)
		if err != nil {
			return err
		}
		real.Layers = append(real.Layers, layer)
	}
	placeholder := image.Platform{Platform: ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}, Config: real.Config}
	note := []image.Entry{{Path: "PLACEHOLDER", Mode: 0o644, Data: []byte(d.References[0] + " is not made for this platform\n")}}
	layer, err := pushLayer(ctx, store, scratch, d.compression(), note)
	if err != nil {
		return err
	}
	placeholder.Layers = []image.Layer{layer}
	desc, err := image.Push(ctx, store, real, placeholder)
	if err != nil {
		return err
	}
	for _, ref := range d.References {
		if err := store.Tag(ctx, desc, ref); err != nil {
			return err
		}
	}
	return nil
}

func pushLayer(ctx context.Context, store *oci.Store, scratch string, compression image.Compression, entries []image.Entry) (image.Layer, error) {
	file, err := os.CreateTemp(scratch, ".layer-")
	if err != nil {
		return image.Layer{}, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	layer, err := image.WriteLayer(file, compression, entries)
	if err != nil {
		return image.Layer{}, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return image.Layer{}, err
	}
	return layer, image.PushBlob(ctx, store, layer.Descriptor, file)
}

// contentKey identifies definitions by everything that gets into the images, and by nothing else.
func contentKey(definitions []Definition) (string, error) {
	sum := sha256.New()
	write := json.NewEncoder(sum)
	if err := write.Encode(recipe); err != nil {
		return "", err
	}
	for _, d := range definitions {
		if err := write.Encode([]any{d.References, d.Config, d.compression(), len(d.Layers)}); err != nil {
			return "", err
		}
		for _, layer := range d.Layers {
			if err := write.Encode(len(layer)); err != nil {
				return "", err
			}
			for _, entry := range layer {
				if err := write.Encode([]any{entry.Path, entry.Mode, entry.Link, entry.Data}); err != nil {
					return "", err
				}
				if err := writeFile(sum, entry.Source); err != nil {
					return "", err
				}
			}
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

func writeFile(sum hash.Hash, name string) error {
	if name == "" {
		return nil
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	own := sha256.New()
	if _, err := io.Copy(own, file); err != nil {
		return err
	}
	_, err = sum.Write(own.Sum(nil))
	return err
}
