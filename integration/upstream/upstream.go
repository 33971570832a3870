// Package upstream is a stand-in for the public registries: one HTTP server that answers the pull half of the distribution
// API for every registry there is, under the path prefix /v2/<registry>/<repository>/, which is where a mirror of BuildKit or
// containerd looks. What is in its OCI layout is served from there; any other reference gets a small image that is generated
// from the reference alone. It also serves plain files under /files/.
//
// It is as strict as the distribution project's registry about the Accept header: an OCI image manifest goes only to a client that names
// its media type, to others it is "not found"; everything else is served to all clients.
//
// Some repositories misbehave on purpose, so that error paths can be tested: those that have one of these path components.
//
//	does-not-exist   is unknown (any part of a reference that merely contains it will do)
//	lab-private      requires credentials that do not exist
//	lab-docker       has Docker's media types instead of OCI's
//	lab-single       has a linux/amd64 manifest without an index
//	lab-arm64        has no image for linux/amd64
//	lab-nested       has an index of an index of the platforms
//	lab-no-platform  has an index of a linux/amd64 manifest that the index gives no platform
//	lab-flaky        answers the first request for each manifest with 502
//	lab-incomplete   has manifests whose last layer is missing
package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/oci"
)

var (
	errNotFound = errors.New("not found")
	errPrivate  = errors.New("authentication required")
)

// Options say what a Server serves. The zero value serves generated images only.
type Options struct {
	// Layout is an OCI image layout whose index names full references (org.opencontainers.image.ref.name).
	Layout string
	// Files is served under /files/.
	Files fs.FS
	// References names a file in which the references of generated images are kept, so that after a restart their digests
	// are known as before. It is created when it is missing.
	References string
	// AccessLog gets one Access as a line of JSON for each request, after it was answered.
	AccessLog io.Writer
}

// Server is the stand-in registry, an http.Handler.
type Server struct {
	mux       *http.ServeMux
	accessLog io.Writer
	logging   sync.Mutex

	mu           sync.Mutex // guards what follows
	repositories map[string]*repository
	generated    *blobs
	references   *os.File        // nil when generated references are not kept
	refused      map[string]bool // what was asked for, of flaky repositories
}

// A repository knows its content by tag and by digest; the bytes are in a store.
type repository struct {
	tags    map[string]ocispec.Descriptor
	content map[digest.Digest]stored
}

type stored struct {
	ocispec.Descriptor
	store content.Fetcher
}

// New reads the layout and the kept references.
func New(ctx context.Context, options Options) (*Server, error) {
	s := &Server{
		mux:          http.NewServeMux(),
		accessLog:    options.AccessLog,
		repositories: make(map[string]*repository),
		generated:    new(blobs),
		refused:      make(map[string]bool),
	}
	if options.Layout != "" {
		if err := s.loadLayout(ctx, options.Layout); err != nil {
			return nil, fmt.Errorf("reading the images of %s: %w", options.Layout, err)
		}
	}
	if options.References != "" {
		if err := s.loadReferences(ctx, options.References); err != nil {
			return nil, fmt.Errorf("reading the references of %s: %w", options.References, err)
		}
	}
	s.mux.HandleFunc("GET /v2/", s.serveRegistry)
	if options.Files != nil {
		s.mux.Handle("GET /files/", http.StripPrefix("/files/", http.FileServerFS(options.Files)))
	}
	return s, nil
}

// Close closes the file of references. The server must not be asked anything afterwards.
func (s *Server) Close() error {
	if s.references == nil {
		return nil
	}
	return s.references.Close()
}

func (s *Server) loadLayout(ctx context.Context, dir string) error {
	store, err := oci.NewFromFS(ctx, os.DirFS(dir))
	if err != nil {
		return err
	}
	return store.Tags(ctx, "", func(references []string) error {
		for _, name := range references {
			ref, err := taggedReference(name)
			if err != nil {
				return err
			}
			desc, err := store.Resolve(ctx, name)
			if err != nil {
				return err
			}
			if err := s.add(ctx, ref, desc, store); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	})
}

// add makes a repository of ref know desc under its tag, and all that desc leads to.
func (s *Server) add(ctx context.Context, ref reference.NamedTagged, desc ocispec.Descriptor, store content.Fetcher) error {
	repo := s.repositories[ref.Name()]
	if repo == nil {
		repo = &repository{tags: make(map[string]ocispec.Descriptor), content: make(map[digest.Digest]stored)}
		s.repositories[ref.Name()] = repo
	}
	repo.tags[ref.Tag()] = desc
	pending := []ocispec.Descriptor{desc}
	for len(pending) > 0 {
		next := pending[0]
		repo.content[next.Digest] = stored{next, store}
		children, err := content.Successors(ctx, store, next)
		if err != nil {
			return err
		}
		pending = append(pending[1:], children...)
	}
	return nil
}

// lookup finds what a repository has under a tag or digest. Every tag that is not in the layout is generated when it is first
// asked for. A digest is found when it belongs to a tag that was asked for, or to the tag latest.
func (s *Server) lookup(ctx context.Context, name, tagOrDigest string) (stored, error) {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil || named.Name() != name {
		return stored{}, fmt.Errorf("%q is not a registry and a repository: %w", name, errNotFound)
	}
	if strings.Contains(name+tagOrDigest, "does-not-exist") {
		return stored{}, errNotFound
	}
	if hasComponent(name, "lab-private") {
		return stored{}, errPrivate
	}
	tag, dgst := tagOrDigest, digest.Digest("")
	if strings.Contains(tagOrDigest, ":") {
		tag, dgst = "latest", digest.Digest(tagOrDigest)
	}
	ref, err := reference.WithTag(named, tag)
	if err != nil {
		return stored{}, fmt.Errorf("%w: %w", err, errNotFound)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if dgst != "" {
		if found, ok := s.find(name, dgst); ok {
			return found, nil
		}
	}
	if err := s.ensure(ctx, ref); err != nil {
		return stored{}, err
	}
	if dgst == "" {
		dgst = s.repositories[name].tags[tag].Digest
	}
	if found, ok := s.find(name, dgst); ok {
		return found, nil
	}
	return stored{}, errNotFound
}

func (s *Server) find(name string, dgst digest.Digest) (stored, bool) {
	repo := s.repositories[name]
	if repo == nil {
		return stored{}, false
	}
	found, ok := repo.content[dgst]
	return found, ok
}

// ensure generates the image of ref unless there is one.
func (s *Server) ensure(ctx context.Context, ref reference.NamedTagged) error {
	if repo := s.repositories[ref.Name()]; repo != nil {
		if _, ok := repo.tags[ref.Tag()]; ok {
			return nil
		}
	}
	desc, err := Generate(ctx, s.generated, ref)
	if err != nil {
		return fmt.Errorf("generating %s: %w", ref, err)
	}
	if err := s.add(ctx, ref, desc, s.generated); err != nil {
		return err
	}
	if s.references == nil {
		return nil
	}
	_, err = fmt.Fprintln(s.references, ref)
	return err
}

func (s *Server) loadReferences(ctx context.Context, file string) error {
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for line := range strings.Lines(string(data)) {
		ref, err := taggedReference(strings.TrimSpace(line))
		if err != nil {
			return err
		}
		if err := s.ensure(ctx, ref); err != nil {
			return err
		}
	}
	s.references, err = os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	return err
}

// taggedReference parses a full reference that has a tag.
func taggedReference(s string) (reference.NamedTagged, error) {
	named, err := reference.ParseNamed(s)
	if err != nil {
		return nil, fmt.Errorf("reference %q: %w", s, err)
	}
	tagged, ok := named.(reference.NamedTagged)
	if !ok {
		return nil, fmt.Errorf("reference %q has no tag", s)
	}
	return tagged, nil
}

func hasComponent(name, component string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if part == component {
			return true
		}
	}
	return false
}
