package imagespec

import (
	"fmt"
	"path"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	blobsDir   = "blobs"
	refsDir    = "refs"
	tagsDir    = "_tags"
	digestsDir = "_digests"
	refSuffix  = ".json"
)

// ReservedPaths returns the files and directories, relative to the root of an image, that only a writer of the format may fill: the embedded
// store and the lock file (SPEC.md, section 2).
func ReservedPaths() []string {
	var paths []string
	for _, name := range []string{ocispec.ImageLayoutFile, blobsDir, refsDir} {
		paths = append(paths, path.Join(RegistryDir, name))
	}
	return append(paths, LockPath)
}

// ParseReference reads an image reference as container runtimes do and returns its full form: "nginx" is
// docker.io/library/nginx:latest. A tag, a digest or both are kept as they were written.
func ParseReference(s string) (reference.Named, error) {
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		return nil, fmt.Errorf("image reference %q: %w", s, err)
	}
	if digested, ok := named.(reference.Digested); ok && digested.Digest().Algorithm() != digest.SHA256 {
		return nil, fmt.Errorf("image reference %q: only sha256 digests can be embedded", s)
	}
	return reference.TagNameOnly(named), nil
}

// RefPaths returns the files of a reference in the embedded store, relative to [RegistryDir]: one for its tag, one for its digest.
// "_tags" and "_digests" cannot be parts of a repository's name, which begin with a letter or digit.
func RefPaths(ref reference.Named) ([]string, error) {
	dir := repositoryDir(ref)
	var paths []string
	if tagged, ok := ref.(reference.Tagged); ok {
		paths = append(paths, path.Join(dir, tagsDir, tagged.Tag()+refSuffix))
	}
	if digested, ok := ref.(reference.Digested); ok {
		d := digested.Digest()
		if err := checkDigest(d); err != nil {
			return nil, err
		}
		paths = append(paths, path.Join(dir, digestsDir, d.Algorithm().String(), d.Encoded()+refSuffix))
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("image reference %q: %w: neither tag nor digest", ref, ErrInvalid)
	}
	return paths, nil
}

// RefFromPath is the inverse of [RefPaths]: it returns the full reference for a file of the store.
func RefFromPath(name string) (string, error) {
	invalid := fmt.Errorf("%s: %w: not the file of a reference", name, ErrInvalid)
	rest, ok := strings.CutPrefix(name, refsDir+"/")
	if !ok || path.Clean(name) != name {
		return "", invalid
	}
	rest, ok = strings.CutSuffix(rest, refSuffix)
	if !ok {
		return "", invalid
	}
	var full string
	if repository, tag, found := strings.Cut(rest, "/"+tagsDir+"/"); found {
		full = repository + ":" + tag
	} else if repository, hash, found := strings.Cut(rest, "/"+digestsDir+"/"); found {
		full = repository + "@" + strings.Replace(hash, "/", ":", 1)
	} else {
		return "", invalid
	}
	ref, err := ParseReference(full)
	if err != nil || ref.String() != full {
		return "", invalid
	}
	// "a:b" is not a repository, although it forms a reference together with a digest.
	if paths, err := RefPaths(ref); err != nil || len(paths) != 1 || paths[0] != name {
		return "", invalid
	}
	return full, nil
}

// BlobPath returns the file of a blob in the embedded store, relative to [RegistryDir].
func BlobPath(d digest.Digest) (string, error) {
	if err := checkDigest(d); err != nil {
		return "", err
	}
	return path.Join(blobsDir, d.Algorithm().String(), d.Encoded()), nil
}

// checkDigest refuses anything but a sha256 digest, before a path is made of it.
func checkDigest(d digest.Digest) error {
	if err := d.Validate(); err != nil {
		return fmt.Errorf("digest %q: %w: %w", string(d), ErrInvalid, err)
	}
	if d.Algorithm() != digest.SHA256 {
		return fmt.Errorf("digest %q: %w: the store holds sha256 only", string(d), ErrInvalid)
	}
	return nil
}

// SafePath checks the name of an entry of a layer and returns it relative to the root: no absolute path, no "..", no NUL, nothing longer than
// a file system takes. The root itself is ".".
func SafePath(name string) (string, error) {
	if name == "" || strings.ContainsRune(name, 0) || strings.HasPrefix(name, "/") {
		return "", fmt.Errorf("path %q: %w", name, ErrInvalid)
	}
	if len(name) > maxPath {
		return "", fmt.Errorf("path %.100q…: %w: more than %d bytes", name, ErrInvalid, maxPath)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", fmt.Errorf("path %q leaves the root: %w", name, ErrInvalid)
		}
		if len(part) > maxName {
			return "", fmt.Errorf("path %.100q…: %w: a name of more than %d bytes", name, ErrInvalid, maxName)
		}
	}
	return path.Clean(name), nil
}
