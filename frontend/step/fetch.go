package step

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/kubefile/kubefile/imagespec"
)

const (
	// concurrency limits how many images, and how many blobs of each, are fetched at once.
	concurrency = 8
	// manifestTimeout is the most that the manifests of one image may take, retries included.
	manifestTimeout = 2 * time.Minute
	// maxLayers is the most layers a manifest may list.
	maxLayers = 1000
)

// Fetch answers a [FetchRequest]. Images that could not be had are in the answer with an error; Fetch itself fails only if it cannot
// work at all. Blobs are taken from the directory cache, and kept in it.
func Fetch(ctx context.Context, request, dockerConfig, cache, out string) error {
	var req FetchRequest
	if err := readRequest(request, &req); err != nil {
		return err
	}
	registries, err := newRegistries(dockerConfig, req.Mirrors)
	if err != nil {
		return err
	}
	f := &fetcher{registries: registries, matcher: platforms.Only(req.Platform), cache: cache, out: out, started: map[digest.Digest]bool{}}
	answer := make([]Image, len(req.Images))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(concurrency)
	for i, wanted := range req.Images {
		group.Go(func() error {
			image, err := f.image(ctx, wanted, req.Blobs)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				image = Image{Error: err.Error(), Denied: denied(err)}
			}
			image.Reference = wanted.Reference
			answer[i] = image
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return writeAnswer(out, Fetched, answer)
}

type fetcher struct {
	registries *registries
	matcher    platforms.MatchComparer
	cache      string // blobs of earlier steps, by the hex of their digests
	out        string

	mu      sync.Mutex
	started map[digest.Digest]bool // blobs, so that one used twice is fetched once
}

func (f *fetcher) image(ctx context.Context, wanted Wanted, blobs bool) (Image, error) {
	name, err := reference.ParseNormalizedNamed(wanted.Reference)
	if err != nil {
		return Image{}, err
	}
	image, err := f.manifests(ctx, name, wanted)
	if err != nil || !blobs {
		return image, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(concurrency)
	for _, desc := range append(slices.Clone(image.Layers), image.Config) {
		group.Go(func() error { return f.blob(ctx, name, desc) })
	}
	return image, group.Wait()
}

// manifests finds the manifest of an image and writes it, with the indexes that lead to it.
func (f *fetcher) manifests(ctx context.Context, name reference.Named, wanted Wanted) (Image, error) {
	ctx, cancel := context.WithTimeout(ctx, manifestTimeout)
	defer cancel()
	image, documents, err := Find(ctx, wanted, f.matcher, func(ctx context.Context, dgst digest.Digest) (ocispec.Descriptor, []byte, error) {
		return f.registries.manifest(ctx, name, dgst)
	})
	if err != nil {
		return Image{}, err
	}
	for dgst, body := range documents {
		if err := f.write(dgst, body); err != nil {
			return Image{}, err
		}
	}
	return image, nil
}

// ReadManifest fills in config and layers from the bytes of an image manifest.
func (i *Image) ReadManifest(body []byte) error {
	var m ocispec.Manifest
	if err := json.Unmarshal(body, &m); err != nil {
		return fmt.Errorf("reading the manifest: %w", err)
	}
	if len(m.Layers) > maxLayers {
		return fmt.Errorf("the manifest lists %d layers, more than %d", len(m.Layers), maxLayers)
	}
	for _, d := range append([]ocispec.Descriptor{m.Config}, m.Layers...) {
		if _, err := imagespec.BlobPath(d.Digest); err != nil {
			return fmt.Errorf("reading the manifest: %w", err)
		}
		if d.Size < 0 {
			return fmt.Errorf("reading the manifest: %s has the size %d", d.Digest, d.Size)
		}
	}
	i.Config, i.Layers = m.Config, m.Layers
	return nil
}

func (f *fetcher) write(dgst digest.Digest, body []byte) error {
	path, err := f.blobPath(dgst)
	if err != nil {
		return err
	}
	return os.WriteFile(path, body, 0o644)
}

func (f *fetcher) blobPath(dgst digest.Digest) (string, error) {
	name, err := imagespec.BlobPath(dgst)
	if err != nil {
		return "", err
	}
	path := filepath.Join(f.out, dgst.Encoded(), imagespec.RegistryDir, name) // a layer is a copy of such a directory
	return path, os.MkdirAll(filepath.Dir(path), 0o755)
}

// blob writes a blob to the output: the one in the cache, which is fetched first if it is not there.
func (f *fetcher) blob(ctx context.Context, name reference.Named, desc ocispec.Descriptor) error {
	f.mu.Lock()
	started := f.started[desc.Digest]
	f.started[desc.Digest] = true
	f.mu.Unlock()
	if started {
		return nil
	}
	path, err := f.blobPath(desc.Digest)
	if err != nil {
		return err
	}
	cached := filepath.Join(f.cache, desc.Digest.Encoded())
	if copyBlob(cached, path, desc) == nil {
		return nil
	}
	if err := f.registries.blob(ctx, name, desc, func(r io.Reader) error { return saveBlob(r, cached, desc) }); err != nil {
		return err
	}
	return copyBlob(cached, path, desc)
}

func copyBlob(from, to string, desc ocispec.Descriptor) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.Create(to)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := copyVerified(w, r, desc); err != nil {
		return err
	}
	return w.Close()
}

// saveBlob gives the file its name when it is complete: other builds see it, too.
func saveBlob(r io.Reader, path string, desc ocispec.Descriptor) error {
	w, err := os.CreateTemp(filepath.Dir(path), ".unfinished-")
	if err != nil {
		return err
	}
	defer os.Remove(w.Name()) // there no longer if all went well
	defer w.Close()
	if err := copyVerified(w, r, desc); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.Rename(w.Name(), path)
}

// copyVerified copies a blob and fails unless it has its size and digest.
func copyVerified(w io.Writer, r io.Reader, desc ocispec.Descriptor) error {
	verifier := desc.Digest.Verifier()
	n, err := io.Copy(io.MultiWriter(w, verifier), io.LimitReader(r, desc.Size+1))
	if err != nil {
		return fmt.Errorf("fetching %s: %w", desc.Digest, err)
	}
	if n != desc.Size || !verifier.Verified() {
		return fmt.Errorf("the registry sent other bytes than %s", desc.Digest)
	}
	return nil
}
