package imagespec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ValidateStore checks a whole embedded store (SPEC.md, section 4): nothing but regular files and directories is in it, every blob has
// the digest that its name says, every reference leads to a manifest whose config and layers are there, and of every index at least
// one child is. Where lock is not nil, store and lock must name the same references with the same digests. Every byte is read once.
// It returns [ErrInvalid], or [ErrNotFound] for a blob that is missing.
func ValidateStore(ctx context.Context, fsys fs.FS, lock *Lock) error {
	if err := checkFiles(ctx, fsys); err != nil {
		return err
	}
	return NewStore(fsys).check(ctx, lock)
}

// check checks everything but the bytes of blobs.
func (s *Store) check(ctx context.Context, lock *Lock) error {
	references, err := s.References()
	if err != nil {
		return err
	}
	if len(references) > 0 {
		if err := s.checkLayout(); err != nil {
			return err
		}
	}
	held := make(map[string]map[digest.Digest]bool, len(references))
	var incomplete []error
	for _, full := range slices.Sorted(maps.Keys(references)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if held[full], err = s.complete(references[full]); err != nil {
			incomplete = append(incomplete, fmt.Errorf("%s: %w", full, err))
		}
	}
	if err := differences(incomplete); err != nil {
		return err
	}
	if lock == nil {
		return nil
	}
	return lock.agree(references, held)
}

// checkFiles checks what the store is made of, and hashes the blobs.
func checkFiles(ctx context.Context, fsys fs.FS) error {
	return fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("reading the store: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		switch {
		case entry.IsDir():
			return nil
		case !entry.Type().IsRegular():
			return fmt.Errorf("%s: %w: neither file nor directory", name, ErrInvalid)
		case strings.HasPrefix(name, blobsDir+"/") && !hidden(name):
			return checkBlob(fsys, name)
		}
		return nil
	})
}

func checkBlob(fsys fs.FS, name string) error {
	want, err := blobFromPath(name)
	if err != nil {
		return err
	}
	file, err := fsys.Open(name)
	if err != nil {
		return fmt.Errorf("reading the store: %w", err)
	}
	defer file.Close()
	verifier := want.Verifier()
	if _, err := io.Copy(verifier, file); err != nil {
		return fmt.Errorf("reading the store: %w", err)
	}
	if !verifier.Verified() {
		return fmt.Errorf("%s: %w: its bytes are damaged", name, ErrInvalid)
	}
	return nil
}

func (s *Store) checkLayout() error {
	file, err := s.open(ocispec.ImageLayoutFile)
	if err != nil {
		return err
	}
	defer file.Close()
	data, err := readLimited(file, maxRefSize)
	if err != nil {
		return fmt.Errorf("%s: %w", ocispec.ImageLayoutFile, err)
	}
	var layout ocispec.ImageLayout
	if err := json.Unmarshal(data, &layout); err != nil || layout.Version != ocispec.ImageLayoutVersion {
		return fmt.Errorf("%s: %w: not an OCI layout of version %s", ocispec.ImageLayoutFile, ErrInvalid, ocispec.ImageLayoutVersion)
	}
	return nil
}

// complete checks that everything below a reference is there, but for children of an index that are for other platforms. It returns
// the manifests and indexes that are.
func (s *Store) complete(root ocispec.Descriptor) (map[digest.Digest]bool, error) {
	held := map[digest.Digest]bool{}
	err := s.walk(root, func(d ocispec.Descriptor, below content) error {
		held[d.Digest] = true
		if isIndex(d.MediaType) && len(below.manifests) == 0 {
			return fmt.Errorf("index %s: %w: none of its manifests is there", d.Digest, ErrInvalid)
		}
		for _, blob := range below.blobs {
			size, err := s.Stat(blob.Digest)
			if err != nil {
				return fmt.Errorf("manifest %s: %w", d.Digest, err)
			}
			if size != blob.Size {
				return fmt.Errorf("manifest %s: blob %s: %w: %d bytes, not %d", d.Digest, blob.Digest, ErrInvalid, size, blob.Size)
			}
		}
		return nil
	})
	return held, err
}

// agree compares the lock with the references of a store and the manifests below them, and names every difference. A reference with tag and
// digest has a file for each.
func (l *Lock) agree(references map[string]ocispec.Descriptor, held map[string]map[digest.Digest]bool) error {
	listed := map[string]bool{}
	var found []error
	for _, image := range l.Images {
		names, err := image.names()
		if err != nil {
			return err
		}
		for _, full := range names {
			listed[full] = true
			descriptor, ok := references[full]
			switch {
			case !ok:
				found = append(found, fmt.Errorf("%s: %w: in the lock, but not in the store", full, ErrInvalid))
				continue
			case descriptor.Digest != image.Digest:
				found = append(found, fmt.Errorf("%s: %w: %s in the lock, %s in the store", full, ErrInvalid, image.Digest, descriptor.Digest))
				continue
			case descriptor.MediaType != image.MediaType:
				found = append(found, fmt.Errorf("%s: %w: media type %q in the lock, %q in the store", full, ErrInvalid, image.MediaType, descriptor.MediaType))
			}
			for _, p := range image.Platforms {
				if !held[full][p.Digest] {
					found = append(found, fmt.Errorf("%s: %w: its manifest %s for %s is not in the store", full, ErrInvalid, p.Digest, p.Platform))
				}
			}
		}
	}
	for _, full := range slices.Sorted(maps.Keys(references)) {
		if !listed[full] {
			found = append(found, fmt.Errorf("%s: %w: in the store, but not in the lock", full, ErrInvalid))
		}
	}
	return differences(found)
}

// maxDifferences bounds how many differences an error names.
const maxDifferences = 20

// differences joins errors of the same kind.
func differences(found []error) error {
	if more := len(found) - maxDifferences; more > 0 {
		found = append(found[:maxDifferences:maxDifferences], fmt.Errorf("%w: and %d more", ErrInvalid, more))
	}
	return errors.Join(found...)
}

// names are the references under which a store has the image.
func (i *LockedImage) names() ([]string, error) {
	ref, err := ParseReference(i.Reference)
	if err != nil {
		return nil, err
	}
	paths, err := RefPaths(ref)
	if err != nil {
		return nil, err
	}
	var names []string
	var failed error
	for _, name := range paths {
		full, err := RefFromPath(name)
		failed = errors.Join(failed, err)
		names = append(names, full)
	}
	return names, failed
}
