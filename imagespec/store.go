package imagespec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Store reads the embedded images of a cluster image: the content of [RegistryDir] (SPEC.md, section 4). It keeps nothing in memory, so
// that what is added while it is open is seen.
type Store struct {
	fsys fs.FS
}

// NewStore reads the store whose root is fsys. For a directory on disk use the FS of an [os.Root], which no link can leave.
func NewStore(fsys fs.FS) *Store {
	return &Store{fsys: fsys}
}

// Resolve returns the descriptor of name:tag or name@digest, where host and repository are as in the full form of a reference. A digest
// is found by the reference that names it, and else among the manifests that the repository's references lead to, so that the
// children of an index can be asked for. It returns [ErrNotFound] when the store has no such image.
func (s *Store) Resolve(host, repository, tagOrDigest string) (ocispec.Descriptor, error) {
	d := digest.Digest(tagOrDigest)
	byDigest := strings.Contains(tagOrDigest, ":")
	name := host + "/" + repository
	full := name + ":" + tagOrDigest
	if byDigest {
		full = name + "@" + tagOrDigest
	}
	ref, err := ParseReference(full)
	if err != nil || ref.String() != full {
		return ocispec.Descriptor{}, fmt.Errorf("%s: %w", full, ErrNotFound)
	}
	paths, err := RefPaths(ref)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	descriptor, err := s.readRef(paths[0])
	if err == nil || !byDigest || !errors.Is(err, ErrNotFound) {
		return descriptor, err
	}
	return s.child(ref, d)
}

// child looks for a manifest below the references of a repository.
func (s *Store) child(ref reference.Named, d digest.Digest) (ocispec.Descriptor, error) {
	var found ocispec.Descriptor
	errFound := errors.New("found")
	dir := path.Join(refsDir, reference.Domain(ref), reference.Path(ref))
	for _, kind := range []string{tagsDir, digestsDir} {
		err := fs.WalkDir(s.fsys, path.Join(dir, kind), func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			root, err := s.readRef(name)
			if err != nil {
				return err
			}
			return s.walk(root, 0, func(descriptor ocispec.Descriptor) error {
				if descriptor.Digest == d {
					found = descriptor
					return errFound
				}
				return nil
			})
		})
		if errors.Is(err, errFound) {
			return found, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return found, err
		}
	}
	return found, fmt.Errorf("%s: %w", ref, ErrNotFound)
}

// walk visits a manifest or index and, below an index, every child manifest that the store holds.
func (s *Store) walk(root ocispec.Descriptor, depth int, visit func(ocispec.Descriptor) error) error {
	if err := visit(root); err != nil {
		return err
	}
	if !isIndex(root.MediaType) {
		return nil
	}
	if depth >= MaxIndexDepth {
		return fmt.Errorf("index %s: %w: nested too deep", root.Digest, ErrInvalid)
	}
	var index ocispec.Index
	if err := s.readJSON(root, &index); err != nil {
		return err
	}
	for _, child := range index.Manifests {
		switch _, err := s.Stat(child.Digest); {
		case errors.Is(err, ErrNotFound): // sparse: the children of other platforms are not shipped
		case err != nil:
			return err
		default:
			if err := s.walk(child, depth+1, visit); err != nil {
				return err
			}
		}
	}
	return nil
}

// References lists every reference of the store in full form, with the descriptor it stands for.
func (s *Store) References() (map[string]ocispec.Descriptor, error) {
	references := map[string]ocispec.Descriptor{}
	err := fs.WalkDir(s.fsys, refsDir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return nil
		}
		full, err := RefFromPath(name)
		if err != nil {
			return err
		}
		references[full], err = s.readRef(name)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing references: %w", err)
	}
	return references, nil
}

// Open opens a blob. The content is not hashed: [ValidateStore] does that, and whoever reads it knows the digest.
func (s *Store) Open(d digest.Digest) (fs.File, error) {
	name, err := BlobPath(d)
	if err != nil {
		return nil, err
	}
	file, err := s.fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("blob %s: %w", d, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("opening blob %s: %w", d, err)
	}
	return file, nil
}

// Stat returns the size of a blob in bytes.
func (s *Store) Stat(d digest.Digest) (int64, error) {
	file, err := s.Open(d)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, fmt.Errorf("blob %s: %w", d, err)
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("blob %s: %w: not a regular file", d, ErrInvalid)
	}
	return info.Size(), nil
}

// Manifest reads a manifest or index whole and checks it against its digest.
func (s *Store) Manifest(descriptor ocispec.Descriptor) ([]byte, error) {
	file, err := s.Open(descriptor.Digest)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := readLimited(file, MaxManifestSize)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", descriptor.Digest, err)
	}
	if digest.FromBytes(data) != descriptor.Digest {
		return nil, fmt.Errorf("manifest %s: %w: its bytes are damaged", descriptor.Digest, ErrInvalid)
	}
	return data, nil
}

func (s *Store) readJSON(descriptor ocispec.Descriptor, into any) error {
	data, err := s.Manifest(descriptor)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("manifest %s: %w: %w", descriptor.Digest, ErrInvalid, err)
	}
	return nil
}

func (s *Store) readRef(name string) (ocispec.Descriptor, error) {
	var descriptor ocispec.Descriptor
	file, err := s.fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return descriptor, fmt.Errorf("%s: %w", name, ErrNotFound)
	}
	if err != nil {
		return descriptor, fmt.Errorf("reading reference: %w", err)
	}
	defer file.Close()
	data, err := readLimited(file, maxRefSize)
	if err != nil {
		return descriptor, fmt.Errorf("%s: %w", name, err)
	}
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&descriptor); err != nil {
		return descriptor, fmt.Errorf("%s: %w: %w", name, ErrInvalid, err)
	}
	if err := checkDigest(descriptor.Digest); err != nil {
		return descriptor, fmt.Errorf("%s: %w", name, err)
	}
	if !isIndex(descriptor.MediaType) && !isManifest(descriptor.MediaType) {
		return descriptor, fmt.Errorf("%s: %w: media type %q", name, ErrInvalid, descriptor.MediaType)
	}
	return descriptor, nil
}

// Docker's media types, which registries still serve beside OCI's.
const (
	mediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	mediaTypeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

func isIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == mediaTypeDockerList
}

func isManifest(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest || mediaType == mediaTypeDockerManifest
}

func readLimited(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrInvalid, limit)
	}
	return data, nil
}
