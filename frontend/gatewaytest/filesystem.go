package gatewaytest

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/containerd/containerd/v2/pkg/archive"
	"github.com/moby/buildkit/solver/pb"
	fscopy "github.com/tonistiigi/fsutil/copy"
)

// layer is one layer of a file system. Two layers with one id are the same.
type layer struct {
	id    string
	lower *filesystem // that the layer was made on; nil: on nothing
	tar   func(context.Context) (io.ReadCloser, error)
}

// filesystem is the result of an operation: its layers, and on demand their files in a directory.
type filesystem struct {
	gateway *Gateway
	layers  []layer

	mu  sync.Mutex
	dir string
}

// directory returns the directory with the files of f. Callers must not change it.
func (f *filesystem) directory(ctx context.Context) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dir != "" {
		return f.dir, nil
	}
	dir, err := f.gateway.newDirectory()
	if err != nil {
		return "", err
	}
	for i, l := range f.layers {
		if l.lower != nil && !sameLayers(l.lower.layers, f.layers[:i]) {
			// A daemon compares two directories to unpack a layer elsewhere than where it was made.
			if _, err := l.lower.directory(ctx); err != nil {
				return "", err
			}
		}
		if err := apply(ctx, l, dir); err != nil {
			return "", err
		}
	}
	f.dir = dir
	return dir, nil
}

func sameLayers(a, b []layer) bool {
	return slices.EqualFunc(a, b, func(a, b layer) bool { return a.id == b.id })
}

func apply(ctx context.Context, l layer, dir string) error {
	r, err := l.tar(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := extract(ctx, dir, r); err != nil {
		return fmt.Errorf("unpacking a layer: %w", err)
	}
	return nil
}

// extract unpacks an archive as any user can: the files are the user's own, and readable.
func extract(ctx context.Context, dir string, r io.Reader) error {
	_, err := archive.Apply(ctx, dir, r, archive.WithNoSameOwner(), archive.WithFilter(func(h *tar.Header) (bool, error) {
		h.Mode |= 0o400
		if h.Typeflag == tar.TypeDir {
			h.Mode |= 0o700
		}
		return true, nil
	}))
	return err
}

// copy returns a directory of its own with the files of f, which an operation may change.
func (f *filesystem) copy(ctx context.Context) (string, error) {
	from, err := f.directory(ctx)
	if err != nil {
		return "", err
	}
	to, err := f.gateway.newDirectory()
	if err != nil {
		return "", err
	}
	return to, fscopy.Copy(ctx, from, "/", to, "/", fscopy.WithCopyInfo(fscopy.CopyInfo{CopyDirContents: true, Chown: ownerless}))
}

// with returns the file system that an operation made of f: the files of dir, as one more layer.
func (f *filesystem) with(id, dir string) *filesystem {
	changes := layer{id: id, lower: f.unlessScratch(), tar: func(ctx context.Context) (io.ReadCloser, error) {
		lower := ""
		if len(f.layers) > 0 {
			var err error
			if lower, err = f.directory(ctx); err != nil {
				return nil, err
			}
		}
		return archive.Diff(ctx, lower, dir), nil
	}}
	return &filesystem{gateway: f.gateway, layers: append(slices.Clip(f.layers), changes), dir: dir}
}

// unlessScratch returns nil for a file system without layers.
func (f *filesystem) unlessScratch() *filesystem {
	if len(f.layers) == 0 {
		return nil
	}
	return f
}

// merge puts the layers of all inputs on top of each other.
func (g *Gateway) merge(op *pb.MergeOp, inputs []*filesystem) (*filesystem, error) {
	merged := &filesystem{gateway: g}
	for _, in := range op.Inputs {
		f, err := g.input(in.Input, inputs)
		if err != nil {
			return nil, err
		}
		merged.layers = append(merged.layers, f.layers...)
	}
	return merged, nil
}

// diff returns what upper has more than lower: the layers of upper above lower, or else what differs between the files of both. As in the
// daemon, a single layer is read by comparing the files, too.
func (g *Gateway) diff(ctx context.Context, id string, op *pb.DiffOp, inputs []*filesystem) (*filesystem, error) {
	lower, err := g.input(op.Lower.Input, inputs)
	if err != nil {
		return nil, err
	}
	upper, err := g.input(op.Upper.Input, inputs)
	if err != nil {
		return nil, err
	}
	n := len(lower.layers)
	if len(upper.layers) >= n && sameLayers(lower.layers, upper.layers[:n]) {
		changes := slices.Clone(upper.layers[n:])
		if len(changes) == 1 {
			changes[0].lower = lower.unlessScratch()
		}
		return &filesystem{gateway: g, layers: changes}, nil
	}
	dir, err := upper.directory(ctx)
	if err != nil {
		return nil, err
	}
	return &filesystem{gateway: g, layers: lower.with(id, dir).layers[n:]}, nil
}

// input returns an input by its number; -1 is scratch.
func (g *Gateway) input(number int64, inputs []*filesystem) (*filesystem, error) {
	if number == int64(pb.Empty) {
		return &filesystem{gateway: g}, nil
	}
	if number < 0 || number >= int64(len(inputs)) {
		return nil, fmt.Errorf("no input %d", number)
	}
	return inputs[number], nil
}

// ownerless gives every file to the user who runs the test, because only root can set other owners.
func ownerless(*fscopy.User) (*fscopy.User, error) {
	return &fscopy.User{UID: os.Getuid(), GID: os.Getgid()}, nil
}

func (g *Gateway) newDirectory() (string, error) {
	return os.MkdirTemp(g.root, "fs")
}

// directories are directories by name, which stay from one operation to the next.
type directories struct {
	mu    sync.Mutex
	names map[string]string
}

func (d *directories) get(root, name string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if dir, ok := d.names[name]; ok {
		return dir, nil
	}
	dir, err := os.MkdirTemp(root, "cache")
	if err != nil {
		return "", err
	}
	if d.names == nil {
		d.names = map[string]string{}
	}
	d.names[name] = dir
	return dir, nil
}

// within returns the path of a file in a directory that represents a root.
func within(dir, name string) string { return filepath.Join(dir, filepath.Join("/", name)) }
