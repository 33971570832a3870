package source

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/source/layerfs"
)

// announced is the size in bytes from which an image layer of a registry is not read before it is sent,
// if its one file is a blob: what is in it is checked when it comes.
const announced = 16 << 20

// Verify reads every layer of a local artifact, so that what is damaged, what a host could
// not unpack, and a store that is not that of the lock is found before any host is touched.
// Of an artifact in a registry it reads the image layers, but for those that hold one large
// blob. progress, which may be nil, is told the bytes read and the bytes in all, from several
// goroutines.
func (a *Artifact) Verify(ctx context.Context, progress func(done, total int64)) error {
	v := &verification{Artifact: a, progress: progress}
	for _, layer := range a.Manifest.Layers {
		v.total += layer.Size
	}
	group, ctx := errgroup.WithContext(ctx)
	if a.Kind != KindRegistry {
		group.Go(func() error { return v.rootfs(ctx) })
	}
	group.Go(func() error { return v.images(ctx) })
	return group.Wait()
}

// verification is one run of [Artifact.Verify].
type verification struct {
	*Artifact
	progress func(done, total int64)
	done     atomic.Int64
	total    int64
}

// rootfs reads the rootfs layers as a host unpacks them.
func (v *verification) rootfs(ctx context.Context) error {
	r := layerfs.NewRootfs(func(string) bool { return false })
	for _, layer := range v.RootfsLayers {
		r.Next()
		if err := v.read(ctx, layer, r.Apply); err != nil {
			return err
		}
	}
	return nil
}

// images reads the image layers and compares what they hold with the lock.
func (v *verification) images(ctx context.Context) error {
	inventory := imagespec.NewInventory()
	for _, layer := range v.ImageLayers {
		err := v.read(ctx, layer, func(header *tar.Header, name string, content io.Reader) error {
			mode, err := layerfs.EntryType(header)
			if err != nil {
				return err
			}
			if v.Kind == KindRegistry && header.Size >= announced && header.Size >= layer.Descriptor.Size-announced/4 {
				file, err := imagespec.ReadStoreFile(name, mode)
				if err == nil && file.Blob != "" {
					inventory.Announce(file, header.Size)
					return errRest
				}
			}
			return inventory.Add(name, mode, header.Size, content)
		})
		if err != nil && !errors.Is(err, errRest) {
			return err
		}
	}
	if err := inventory.Check(ctx, v.Description.Lock, v.Description.Platform); err != nil {
		return v.explain(fmt.Errorf("its images and its lock disagree: %w", err))
	}
	return nil
}

// errRest says that the rest of a layer is not read.
var errRest = errors.New("the rest is checked when it is sent")

// read reads one layer and reports the progress.
func (v *verification) read(ctx context.Context, layer imagespec.Layer, visit func(*tar.Header, string, io.Reader) error) error {
	return v.readLayerFrom(ctx, layer, func(blob io.Reader) io.Reader {
		return counting{blob, func(n int) {
			if all := v.done.Add(int64(n)); v.progress != nil && n > 0 {
				v.progress(all, v.total)
			}
		}}
	}, visit)
}

// counting reports how much was read.
type counting struct {
	io.Reader
	count func(n int)
}

func (c counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.count(n)
	return n, err
}

// Runner extracts the runner of the image's platform to the file "sealer-run" in dir, and
// returns its path, digest and size. Nothing of the artifact is part of the path.
// [ErrNoRunner] says that there is none.
func (a *Artifact) Runner(ctx context.Context, dir string) (string, digest.Digest, int64, error) {
	file := filepath.Join(dir, "sealer-run")
	for i := len(a.RootfsLayers) - 1; i >= 0; i-- {
		sum, size, err := a.extract(ctx, a.RootfsLayers[i], file)
		if err != nil {
			os.Remove(file)
			return "", "", 0, err
		}
		if sum != "" {
			return file, sum, size, nil
		}
	}
	return "", "", 0, a.explain(fmt.Errorf("%w: /%s is missing", ErrNoRunner, imagespec.RunnerPath))
}

// extract copies the runner from a layer. The digest is empty when the layer does
// not have it.
func (a *Artifact) extract(ctx context.Context, layer imagespec.Layer, file string) (sum digest.Digest, size int64, err error) {
	err = a.readLayer(ctx, layer, func(header *tar.Header, name string, content io.Reader) (err error) {
		if name == imagespec.RunnerPath && header.Typeflag == tar.TypeReg {
			sum, size, err = writeRunner(file, content)
		}
		return err
	})
	return sum, size, err
}

// readLayer is [layerfs.Read] for a layer of the artifact. What is wrong with the blob
// itself, [Artifact.OpenBlob] has explained.
func (a *Artifact) readLayer(ctx context.Context, layer imagespec.Layer, visit func(header *tar.Header, name string, content io.Reader) error) error {
	return a.readLayerFrom(ctx, layer, func(blob io.Reader) io.Reader { return blob }, visit)
}

// readLayerFrom is readLayer with a reader around the blob.
func (a *Artifact) readLayerFrom(ctx context.Context, layer imagespec.Layer, around func(io.Reader) io.Reader,
	visit func(header *tar.Header, name string, content io.Reader) error) error {
	blob, err := a.OpenBlob(ctx, layer.Descriptor)
	if err != nil {
		return err
	}
	defer blob.Close()
	failed := &layerfs.Failing{Reader: around(blob)}
	err = layerfs.Read(failed, layer.DiffID, func(header *tar.Header, name string, content io.Reader) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return visit(header, name, layerfs.Interruptible(ctx, content))
	})
	switch {
	case failed.Err != nil:
		return failed.Err
	case err == nil || errors.Is(err, errRest) || ctx.Err() != nil:
		return err
	}
	return a.explain(fmt.Errorf("layer %s: %w", layer.Descriptor.Digest, err))
}

func writeRunner(file string, r io.Reader) (digest.Digest, int64, error) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o700)
	if err != nil {
		return "", 0, err
	}
	sum := digest.Canonical.Digester()
	size, err := io.Copy(io.MultiWriter(f, sum.Hash()), r)
	return sum.Digest(), size, errors.Join(err, f.Close())
}

// Files returns the regular files of the rootfs that want says yes to, by their
// slash-separated path below it, as they are on a host when all layers are
// unpacked: without unpacking any. Symbolic links are not files; layers that write
// through one are read as the agent unpacks them. All rootfs layers are read and
// verified, one after the other. What is larger than [layerfs.MaxFileSize] and
// [layerfs.MaxFilesSize] is refused, and so is a hard link to a file that is not wanted.
func (a *Artifact) Files(ctx context.Context, want func(name string) bool) (map[string]layerfs.File, error) {
	r := layerfs.NewRootfs(want)
	for _, layer := range a.RootfsLayers {
		r.Next()
		if err := a.readLayer(ctx, layer, r.Apply); err != nil {
			return nil, err
		}
	}
	return r.Files(), nil
}
