package imagespec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Check checks a store (SPEC.md, section 4) but for the bytes of blobs, which whoever takes them in checks: every reference leads to a
// manifest whose config and layers are there, and of every index at least one child is. Where lock is not nil, store and lock must name the
// same references with the same digests. It returns [ErrInvalid], or [ErrNotFound] for a blob that is missing, and names the first problems.
func (s *Store) Check(ctx context.Context, lock *Lock) error {
	found, err := s.problems(ctx, lock)
	if err != nil {
		return err
	}
	return firstOf(found)
}

// problems returns everything that [Store.Check] finds.
func (s *Store) problems(ctx context.Context, lock *Lock) ([]error, error) {
	references, err := s.References()
	if err != nil {
		return nil, err
	}
	if len(references) > 0 {
		if err := s.checkLayout(); err != nil {
			return nil, err
		}
	}
	held := make(map[string]map[digest.Digest]bool, len(references))
	var found []error
	for _, full := range slices.Sorted(maps.Keys(references)) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		manifests, incomplete := s.complete(references[full])
		if len(incomplete) == 0 {
			held[full] = manifests
		}
		for _, err := range incomplete {
			found = append(found, fmt.Errorf("%s: %w", full, err))
		}
	}
	if lock == nil {
		return found, nil
	}
	different, err := lock.disagreements(references, held)
	return append(found, different...), err
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
// the manifests and indexes that are, and what is missing.
func (s *Store) complete(root ocispec.Descriptor) (held map[digest.Digest]bool, missing []error) {
	held = map[digest.Digest]bool{}
	err := s.walk(root, func(d ocispec.Descriptor, below content) error {
		held[d.Digest] = true
		if isIndex(d.MediaType) && len(below.manifests) == 0 {
			missing = append(missing, fmt.Errorf("index %s: %w: none of its manifests is there", d.Digest, ErrInvalid))
		}
		for _, blob := range below.blobs {
			size, err := s.Stat(blob.Digest)
			if err == nil && size != blob.Size {
				err = fmt.Errorf("blob %s: %w: %d bytes, not %d", blob.Digest, ErrInvalid, size, blob.Size)
			}
			if err != nil {
				missing = append(missing, fmt.Errorf("manifest %s: %w", d.Digest, err))
			}
		}
		return nil
	})
	if err != nil {
		missing = append(missing, err)
	}
	return held, missing
}

// disagreements compares the lock with the references of a store and the manifests below those that are complete. A reference with tag and
// digest has a file for each.
func (l *Lock) disagreements(references map[string]ocispec.Descriptor, held map[string]map[digest.Digest]bool) ([]error, error) {
	listed := map[string]bool{}
	var found []error
	for _, image := range l.Images {
		names, err := image.names()
		if err != nil {
			return nil, err
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
				if manifests, complete := held[full]; complete && !manifests[p.Digest] {
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
	return found, nil
}

// maxProblems bounds how many problems an error names.
const maxProblems = 20

// firstOf joins the first problems.
func firstOf(found []error) error {
	if more := len(found) - maxProblems; more > 0 {
		found = append(found[:maxProblems:maxProblems], fmt.Errorf("%w: and %d more", ErrInvalid, more))
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
