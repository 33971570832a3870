package imagespec

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
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
	byDigest := strings.Contains(tagOrDigest, ":")
	full := host + "/" + repository + ":" + tagOrDigest
	if byDigest {
		full = host + "/" + repository + "@" + tagOrDigest
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
	return s.child(ref, digest.Digest(tagOrDigest))
}

// child looks for a manifest below the references of a repository.
func (s *Store) child(ref reference.Named, d digest.Digest) (ocispec.Descriptor, error) {
	var found ocispec.Descriptor
	if _, err := s.Stat(d); err != nil {
		return found, err
	}
	errFound := errors.New("found")
	err := s.eachRef(repositoryDir(ref), func(_ string, root ocispec.Descriptor) error {
		return s.walk(root, func(descriptor ocispec.Descriptor, _ content) error {
			if descriptor.Digest == d {
				found = descriptor
				return errFound
			}
			return nil
		})
	})
	switch {
	case errors.Is(err, errFound):
		return found, nil
	case err != nil:
		return found, err
	}
	return found, fmt.Errorf("%s: %w", ref, ErrNotFound)
}

// References lists every reference of the store in full form, with its descriptor.
func (s *Store) References() (map[string]ocispec.Descriptor, error) {
	references := map[string]ocispec.Descriptor{}
	err := s.eachRef(refsDir, func(full string, descriptor ocispec.Descriptor) error {
		references[full] = descriptor
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing references: %w", err)
	}
	return references, nil
}

// Tags lists the tags of a repository, sorted; none when the store does not know it.
func (s *Store) Tags(host, repository string) ([]string, error) {
	name, err := reference.WithName(host + "/" + repository)
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", host, repository, ErrNotFound)
	}
	var tags []string
	err = s.eachRef(path.Join(repositoryDir(name), tagsDir), func(full string, _ ocispec.Descriptor) error {
		tags = append(tags, strings.TrimPrefix(full, name.String()+":"))
		return nil
	})
	slices.Sort(tags)
	return tags, err
}

// Registries lists the registries that images of the store come from, sorted.
func (s *Store) Registries() ([]string, error) {
	entries, err := fs.ReadDir(s.fsys, refsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing registries: %w", err)
	}
	var registries []string
	for _, entry := range entries {
		if entry.IsDir() && !hidden(entry.Name()) {
			registries = append(registries, entry.Name())
		}
	}
	return registries, nil
}

// eachRef visits the references below a directory. A hidden file is one that a writer has not finished.
func (s *Store) eachRef(dir string, visit func(full string, descriptor ocispec.Descriptor) error) error {
	err := fs.WalkDir(s.fsys, dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || hidden(name) {
			return err
		}
		full, err := RefFromPath(name)
		if err != nil {
			return err
		}
		descriptor, err := s.readRef(name)
		if err != nil {
			return err
		}
		return visit(full, descriptor)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Open opens a blob. The content is not hashed: whoever reads it knows the digest.
func (s *Store) Open(d digest.Digest) (fs.File, error) {
	name, err := BlobPath(d)
	if err != nil {
		return nil, err
	}
	return s.open(name)
}

// open opens a regular file. It refuses links, and named pipes, which would block.
func (s *Store) open(name string) (fs.File, error) {
	info, err := fs.Lstat(s.fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", name, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the store: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w: not a regular file", name, ErrInvalid)
	}
	file, err := s.fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("reading the store: %w", err)
	}
	return file, nil
}

// Stat returns the size of a blob in bytes, or [ErrNotFound].
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
	return info.Size(), nil
}

// Manifest reads a manifest or index whole and checks it against its size and digest.
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
	if int64(len(data)) != descriptor.Size {
		return nil, fmt.Errorf("manifest %s: %w: %d bytes, not %d", descriptor.Digest, ErrInvalid, len(data), descriptor.Size)
	}
	if digest.FromBytes(data) != descriptor.Digest {
		return nil, fmt.Errorf("manifest %s: %w: its bytes are damaged", descriptor.Digest, ErrInvalid)
	}
	return data, nil
}

func (s *Store) readRef(name string) (ocispec.Descriptor, error) {
	var descriptor ocispec.Descriptor
	file, err := s.open(name)
	if err != nil {
		return descriptor, err
	}
	defer file.Close()
	return ReadRef(name, file)
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

func repositoryDir(ref reference.Named) string {
	return path.Join(refsDir, reference.Domain(ref), reference.Path(ref))
}

func hidden(name string) bool { return strings.HasPrefix(path.Base(name), ".") }
