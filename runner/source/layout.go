package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
)

// files is a tree of files in a directory or an archive.
type files interface {
	// open opens a regular file and tells its size.
	open(name string) (io.ReadCloser, int64, error)
	has(name string) bool
	// list returns the names of the regular files in a directory.
	list(dir string) ([]string, error)
	Close() error
}

// dirFiles is a directory; links do not lead out of it.
type dirFiles struct{ root *os.Root }

func openDir(path string) (files, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return dirFiles{root}, nil
}

func (d dirFiles) has(name string) bool {
	info, err := d.root.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

func (d dirFiles) open(name string) (io.ReadCloser, int64, error) {
	info, err := d.root.Stat(name)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait
		return nil, 0, fmt.Errorf("%s is not a regular file", name)
	}
	f, err := d.root.Open(name)
	if err != nil {
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func (d dirFiles) list(dir string) ([]string, error) {
	entries, err := fs.ReadDir(d.root.FS(), dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, entry := range entries {
		if entry.Type().IsRegular() {
			names = append(names, entry.Name())
		}
	}
	return names, err
}

func (d dirFiles) Close() error { return d.root.Close() }

// readAll reads a small file.
func readAll(tree files, name string, limit int64) ([]byte, error) {
	r, size, err := tree.open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if size > limit {
		return nil, fmt.Errorf("%s has %d bytes, more than %d", name, size, limit)
	}
	return io.ReadAll(io.LimitReader(r, size))
}

// layout is an OCI image layout (image-spec, image-layout.md).
type layout struct{ tree files }

func (l layout) Close() error { return l.tree.Close() }

// Fetch opens a blob whose size fits.
func (l layout) Fetch(_ context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	path, err := imagespec.BlobPath(d.Digest)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	r, size, err := l.tree.open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is missing", ErrDamaged, path)
	}
	if err != nil {
		return nil, err
	}
	if size != d.Size {
		r.Close()
		return nil, fmt.Errorf("%w: %s has %d bytes instead of %d", ErrDamaged, path, size, d.Size)
	}
	return r, nil
}

// stat checks that a blob is there with its size.
func (l layout) stat(d ocispec.Descriptor) error {
	r, err := l.Fetch(context.Background(), d)
	if err != nil {
		return err
	}
	return r.Close()
}

// index returns the images of the layout, of several those that the selector (a
// tag, a full name, or a digest) names.
func (l layout) index(selector string) ([]ocispec.Descriptor, error) {
	var version ocispec.ImageLayout
	if err := l.readJSON(ocispec.ImageLayoutFile, &version); err != nil {
		return nil, err
	}
	if version.Version != ocispec.ImageLayoutVersion {
		return nil, fmt.Errorf("%s: OCI layout version %q is not known", ocispec.ImageLayoutFile, version.Version)
	}
	var index ocispec.Index
	if err := l.readJSON(ocispec.ImageIndexFile, &index); err != nil {
		return nil, err
	}
	if selector == "" {
		return index.Manifests, nil
	}
	var chosen []ocispec.Descriptor
	var names []string
	for _, d := range index.Manifests {
		if d.Digest == digest.Digest(selector) || named(d, selector) {
			chosen = append(chosen, d)
		}
		names = append(names, describe(d))
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("%w: no image %q in it; there are: %s", ErrNotFound, selector, strings.Join(names, ", "))
	}
	return chosen, nil
}

func (l layout) readJSON(name string, into any) error {
	data, err := readAll(l.tree, name, imagespec.MaxManifestSize)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s is missing", ErrDamaged, name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w: %w", name, ErrDamaged, err)
	}
	return nil
}

// annotationContainerdName is where containerd, BuildKit and Docker keep the full
// name of an image in a layout; org.opencontainers.image.ref.name is often the
// tag alone.
const annotationContainerdName = "io.containerd.image.name"

// named says whether a layout's descriptor bears a name: in full, or its tag.
func named(d ocispec.Descriptor, name string) bool {
	full := d.Annotations[annotationContainerdName]
	return d.Annotations[ocispec.AnnotationRefName] == name || full == name || strings.HasSuffix(full, ":"+name)
}

// describe names a layout's descriptor for a person.
func describe(d ocispec.Descriptor) string {
	for _, key := range []string{annotationContainerdName, ocispec.AnnotationRefName} {
		if name := d.Annotations[key]; name != "" {
			return name
		}
	}
	return d.Digest.String()
}
