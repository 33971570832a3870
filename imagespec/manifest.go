package imagespec

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Docker's media types, which registries still serve in addition to OCI's (SPEC.md, section 4).
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

// checkManifest checks the descriptor of a manifest or index.
func checkManifest(d ocispec.Descriptor) error {
	if err := checkDescriptor(d); err != nil {
		return err
	}
	return checkMediaType(d.MediaType)
}

func checkMediaType(mediaType string) error {
	if !isIndex(mediaType) && !isManifest(mediaType) {
		return fmt.Errorf("%w: media type %q is neither a manifest's nor an index's", ErrInvalid, mediaType)
	}
	return nil
}

func checkDescriptor(d ocispec.Descriptor) error {
	if err := checkDigest(d.Digest); err != nil {
		return err
	}
	if d.Size < 0 {
		return fmt.Errorf("%s: %w: size %d", d.Digest, ErrInvalid, d.Size)
	}
	return nil
}

// content lists the descriptors in a manifest or an index.
type content struct {
	manifests []ocispec.Descriptor // of an index: those that the store holds
	blobs     []ocispec.Descriptor // of a manifest: config and layers
}

// content reads a manifest or index. Of an index the children for other platforms are not shipped.
func (s *Store) content(d ocispec.Descriptor) (content, error) {
	var c content
	data, err := s.Manifest(d)
	if err != nil {
		return c, err
	}
	var document struct {
		MediaType string               `json:"mediaType"`
		Manifests []ocispec.Descriptor `json:"manifests"`
		Config    *ocispec.Descriptor  `json:"config"`
		Layers    []ocispec.Descriptor `json:"layers"`
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return c, fmt.Errorf("manifest %s: %w: %w", d.Digest, ErrInvalid, err)
	}
	// A document that can be read both ways is read differently by different tools (CVE-2021-41190).
	switch {
	case document.MediaType != "" && document.MediaType != d.MediaType:
		return c, fmt.Errorf("manifest %s: %w: its media type is %q, not %q", d.Digest, ErrInvalid, document.MediaType, d.MediaType)
	case isIndex(d.MediaType) && (document.Config != nil || document.Layers != nil):
		return c, fmt.Errorf("index %s: %w: it has layers", d.Digest, ErrInvalid)
	case isManifest(d.MediaType) && (document.Config == nil || document.Manifests != nil):
		return c, fmt.Errorf("manifest %s: %w: it has no config, or it has manifests", d.Digest, ErrInvalid)
	}
	if document.Config != nil {
		c.blobs = append([]ocispec.Descriptor{*document.Config}, document.Layers...)
		return c, nil
	}
	for _, child := range document.Manifests {
		if _, err := s.Stat(child.Digest); errors.Is(err, ErrNotFound) {
			continue
		} else if err != nil {
			return c, fmt.Errorf("index %s: %w", d.Digest, err)
		}
		if err := checkManifest(child); err != nil {
			return c, fmt.Errorf("index %s: %w", d.Digest, err)
		}
		c.manifests = append(c.manifests, child)
	}
	return c, nil
}

// walk visits a manifest or index and everything of that kind below it, each once.
func (s *Store) walk(root ocispec.Descriptor, visit func(ocispec.Descriptor, content) error) error {
	return s.walkBelow(root, 0, map[digest.Digest]bool{}, visit)
}

func (s *Store) walkBelow(d ocispec.Descriptor, depth int, seen map[digest.Digest]bool, visit func(ocispec.Descriptor, content) error) error {
	if depth > MaxIndexDepth {
		return fmt.Errorf("index %s: %w: nested too deep", d.Digest, ErrInvalid)
	}
	if seen[d.Digest] {
		return nil
	}
	seen[d.Digest] = true
	below, err := s.content(d)
	if err != nil {
		return err
	}
	if err := visit(d, below); err != nil {
		return err
	}
	for _, child := range below.manifests {
		if err := s.walkBelow(child, depth+1, seen, visit); err != nil {
			return err
		}
	}
	return nil
}
