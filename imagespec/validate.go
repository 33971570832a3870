package imagespec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ValidateStore checks a whole embedded store: every blob is hashed, every reference leads to a manifest whose config and layers are
// there, of every index at least one child is, nothing but regular files and directories is in it, and, where lock is not nil,
// store and lock name the same references with the same digests. It reads every byte once; progress may be nil and is called with
// the bytes hashed so far.
func ValidateStore(ctx context.Context, fsys fs.FS, lock *Lock, progress func(bytes int64)) error {
	if err := hashBlobs(ctx, fsys, progress); err != nil {
		return err
	}
	store := NewStore(fsys)
	references, err := store.References()
	if err != nil {
		return err
	}
	for full, descriptor := range references {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := store.complete(descriptor, 0); err != nil {
			return fmt.Errorf("%s: %w", full, err)
		}
	}
	if lock == nil {
		return nil
	}
	return agree(lock, references)
}

// hashBlobs checks that the store is made of files and directories, and that each blob is what its name says.
func hashBlobs(ctx context.Context, fsys fs.FS, progress func(int64)) error {
	var hashed int64
	return fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("reading the store: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if !entry.IsDir() && !entry.Type().IsRegular() {
			return fmt.Errorf("%s: %w: neither file nor directory", name, ErrInvalid)
		}
		dir, hash := path.Split(name)
		if entry.IsDir() || dir != "blobs/sha256/" {
			return nil
		}
		n, err := hashBlob(fsys, name, digest.NewDigestFromEncoded(digest.SHA256, hash))
		hashed += n
		if progress != nil {
			progress(hashed)
		}
		return err
	})
}

func hashBlob(fsys fs.FS, name string, want digest.Digest) (int64, error) {
	if err := checkDigest(want); err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	file, err := fsys.Open(name)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	verifier := want.Verifier()
	n, err := io.Copy(verifier, file)
	if err != nil {
		return n, fmt.Errorf("%s: %w", name, err)
	}
	if !verifier.Verified() {
		return n, fmt.Errorf("%s: %w: its bytes are damaged", name, ErrInvalid)
	}
	return n, nil
}

// complete checks that everything below a descriptor is there, except children of an index for other platforms.
func (s *Store) complete(descriptor ocispec.Descriptor, depth int) error {
	if depth > MaxIndexDepth {
		return fmt.Errorf("index %s: %w: nested too deep", descriptor.Digest, ErrInvalid)
	}
	if err := s.hasBlob(descriptor); err != nil {
		return err
	}
	if !isIndex(descriptor.MediaType) {
		var manifest ocispec.Manifest
		if err := s.readJSON(descriptor, &manifest); err != nil {
			return err
		}
		for _, blob := range append([]ocispec.Descriptor{manifest.Config}, manifest.Layers...) {
			if err := s.hasBlob(blob); err != nil {
				return fmt.Errorf("manifest %s: %w", descriptor.Digest, err)
			}
		}
		return nil
	}
	var index ocispec.Index
	if err := s.readJSON(descriptor, &index); err != nil {
		return err
	}
	present := 0
	for _, child := range index.Manifests {
		_, err := s.Stat(child.Digest)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		present++
		if err := s.complete(child, depth+1); err != nil {
			return err
		}
	}
	if present == 0 {
		return fmt.Errorf("index %s: %w: none of its manifests is there", descriptor.Digest, ErrInvalid)
	}
	return nil
}

func (s *Store) hasBlob(descriptor ocispec.Descriptor) error {
	size, err := s.Stat(descriptor.Digest)
	if err != nil {
		return err
	}
	if size != descriptor.Size {
		return fmt.Errorf("blob %s: %w: %d bytes, not %d", descriptor.Digest, ErrInvalid, size, descriptor.Size)
	}
	return nil
}

// agree compares the lock with the references of the store. A reference with tag and digest has a file for each.
func agree(lock *Lock, references map[string]ocispec.Descriptor) error {
	var known []string
	for _, image := range lock.Images {
		ref, err := ParseReference(image.Reference)
		if err != nil {
			return err
		}
		paths, err := RefPaths(ref)
		if err != nil {
			return err
		}
		for _, name := range paths {
			full, err := RefFromPath(name)
			if err != nil {
				return err
			}
			descriptor, ok := references[full]
			if !ok {
				return fmt.Errorf("%s: %w: in the lock, but not in the store", full, ErrInvalid)
			}
			if descriptor.Digest != image.Digest {
				return fmt.Errorf("%s: %w: %s in the lock, %s in the store", full, ErrInvalid, image.Digest, descriptor.Digest)
			}
			known = append(known, full)
		}
	}
	for full := range references {
		if !slices.Contains(known, full) {
			return fmt.Errorf("%s: %w: in the store, but not in the lock", full, ErrInvalid)
		}
	}
	return nil
}
