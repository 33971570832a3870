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
)

// verifiers is how many layers are hashed at once.
const verifiers = 2

// Verify reads every layer of a local artifact and checks it against its digest,
// so that a damaged file is found before any host is touched. For a registry it
// returns at once: there the bytes are checked as they come. progress, which may
// be nil, is told the bytes read and the bytes in all, from several goroutines.
func (a *Artifact) Verify(ctx context.Context, progress func(done, total int64)) error {
	if a.Kind == KindRegistry {
		return nil
	}
	var total int64
	for _, layer := range a.Manifest.Layers {
		total += layer.Size
	}
	var done atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(verifiers)
	for _, layer := range a.Manifest.Layers {
		group.Go(func() error {
			r, err := a.OpenBlob(ctx, layer)
			if err != nil {
				return err
			}
			defer r.Close()
			buffer := make([]byte, 1<<20)
			for {
				n, err := r.Read(buffer)
				if all := done.Add(int64(n)); progress != nil && n > 0 {
					progress(all, total)
				}
				if err == io.EOF {
					return nil
				}
				if err = errors.Join(err, ctx.Err()); err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
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

// readLayer is [ReadLayer] for a layer of the artifact. What is wrong with the blob
// itself, [Artifact.OpenBlob] has explained.
func (a *Artifact) readLayer(ctx context.Context, layer imagespec.Layer, visit func(header *tar.Header, name string, content io.Reader) error) error {
	blob, err := a.OpenBlob(ctx, layer.Descriptor)
	if err != nil {
		return err
	}
	defer blob.Close()
	failed := &failing{Reader: blob}
	if err := ReadLayer(failed, layer.DiffID, visit); err != nil && failed.err == nil {
		return a.explain(fmt.Errorf("layer %s: %w", layer.Descriptor.Digest, err))
	}
	return failed.err
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
