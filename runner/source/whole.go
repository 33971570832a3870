package source

import (
	"context"
	"io"
	"path"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Whole is an artifact with its images for all platforms, none of them chosen yet.
type Whole struct {
	Kind  Kind                 // what the name turned out to be
	Roots []ocispec.Descriptor // the manifests and indexes that the name stands for

	artifact *Artifact
}

// OpenWhole finds what [Open] finds, and chooses no image. The caller closes it.
func OpenWhole(ctx context.Context, image string, opts Options) (*Whole, error) {
	a := &Artifact{Name: image}
	roots, err := a.locate(ctx, image, opts)
	if err != nil {
		a.Close()
		return nil, a.explain(err)
	}
	return &Whole{Kind: a.Kind, Roots: roots, artifact: a}, nil
}

// Close releases the file or connections.
func (w *Whole) Close() error { return w.artifact.Close() }

// Fetch opens a blob, which is not verified yet.
func (w *Whole) Fetch(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	return w.artifact.blobs.Fetch(ctx, d)
}

// ReadJSON reads a manifest, index or config, verified and bounded.
func (w *Whole) ReadJSON(ctx context.Context, d ocispec.Descriptor, into any) error {
	return fetchJSON(ctx, w.artifact.blobs, d, into)
}

// Explain names the artifact in an error and says what to do.
func (w *Whole) Explain(err error) error { return w.artifact.explain(err) }

// BlobFiles lists the files in the directory of blobs of a layout or an OCI archive; none of other artifacts, and none when the name chose one
// image among several.
func (w *Whole) BlobFiles() (dir string, names []string, err error) {
	local, ok := w.artifact.blobs.(layout)
	if _, selector, _, err := findPath(w.artifact.Name); !ok || selector != "" || err != nil {
		return "", nil, err
	}
	dir = path.Join(ocispec.ImageBlobsDir, string(digest.SHA256))
	names, err = local.tree.list(dir)
	return dir, names, err
}
