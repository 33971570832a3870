// Package source opens a cluster image wherever it is: in a registry, in an OCI
// layout directory, or in an archive of either kind that tools write. What it is
// handed is hostile until proven otherwise: every byte that leaves the package
// has been checked against a digest, and a file can be checked as a whole
// ([Artifact.Verify]) before anything is changed anywhere.
//
// Archives are read in place, at random, without unpacking; memory does not grow
// with the artifact.
package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/source/layerfs"
	"github.com/kubefile/kubefile/runner/source/remote"
)

var (
	// ErrDamaged says that an artifact is not what its digests say: truncated, or
	// changed on the way.
	ErrDamaged = layerfs.ErrDamaged
	// ErrNotFound says that there is no such file or image.
	ErrNotFound = remote.ErrNotFound
	// ErrPlatform says that the artifact has no image for the platform asked for.
	ErrPlatform = errors.New("platform not in the artifact")
	// ErrAmbiguous says that an archive or layout holds several images.
	ErrAmbiguous = errors.New("more than one image")
	// ErrNoRunner says that the image has no runner to copy to the hosts.
	ErrNoRunner = errors.New("no runner in the image")

	errBrokenOff = errors.New("the connection broke off")
)

// Kind is where an artifact comes from.
type Kind string

const (
	KindRegistry      Kind = "registry"
	KindLayout        Kind = "OCI layout"
	KindArchive       Kind = "OCI archive"
	KindDockerArchive Kind = "docker archive"
)

// Options choose among what an artifact offers.
type Options struct {
	// Platform to take from a multi-platform artifact; default is linux on this
	// machine's architecture.
	Platform ocispec.Platform
	// PlainHTTP talks to the registry without TLS. Loopback registries are asked
	// which they use, so they need no flag.
	PlainHTTP bool
}

// Artifact is one cluster image for one platform.
type Artifact struct {
	Name         string        // as it was asked for
	Kind         Kind          // what Name turned out to be
	Digest       digest.Digest // of the platform's manifest
	Manifest     ocispec.Manifest
	Config       ocispec.Image
	Description  *imagespec.Description
	RootfsLayers []imagespec.Layer // for every host
	ImageLayers  []imagespec.Layer // for hosts that keep images

	blobs blobs
}

// blobs is what all kinds of artifact come down to: blobs by descriptor, not yet
// verified.
type blobs interface {
	content.Fetcher
	Close() error
}

// Location is the name under which the artifact is found from any directory of this machine.
func (a *Artifact) Location() string {
	switch a.Kind {
	case KindLayout, KindArchive, KindDockerArchive:
		if name, err := filepath.Abs(a.Name); err == nil {
			return name
		}
	}
	return a.Name
}

// Open finds out what image is and reads its manifest and config. An existing
// path, or a name that begins with "/", "./" or "../", is a layout directory or
// an archive, of which PATH:TAG and PATH@DIGEST choose one image among several;
// anything else is a registry reference.
func Open(ctx context.Context, image string, opts Options) (*Artifact, error) {
	if opts.Platform.OS == "" {
		opts.Platform.OS = "linux"
	}
	if opts.Platform.Architecture == "" {
		opts.Platform.Architecture = runtime.GOARCH
	}
	a := &Artifact{Name: image}
	roots, err := a.locate(ctx, image, opts)
	var manifest ocispec.Descriptor
	if err == nil {
		manifest, err = choose(ctx, a.blobs, roots, opts.Platform)
	}
	if err == nil {
		err = a.read(ctx, manifest, opts.Platform)
	}
	if err != nil {
		a.Close()
		return nil, a.explain(err)
	}
	return a, nil
}

// locate opens the artifact's blobs and finds the manifests and indexes that image names.
func (a *Artifact) locate(ctx context.Context, image string, opts Options) ([]ocispec.Descriptor, error) {
	path, selector, isDir, err := findPath(image)
	if err != nil {
		return nil, err
	}
	if path == "" {
		a.Kind = KindRegistry
		repository, root, err := remote.Open(ctx, image, opts.PlainHTTP)
		if err != nil {
			return nil, err
		}
		a.blobs = repository
		return []ocispec.Descriptor{root}, nil
	}
	var tree files
	if isDir {
		a.Kind = KindLayout
		tree, err = openDir(path)
	} else {
		a.Kind = KindArchive
		tree, err = openTar(path)
	}
	if err != nil {
		return nil, err
	}
	a.blobs = layout{tree} // owns tree from here on
	if tree.has(ocispec.ImageLayoutFile) {
		if tree.has(dockerManifest) {
			a.Kind = KindDockerArchive
		}
		return layout{tree}.index(selector)
	}
	if archive, ok := tree.(*tarFiles); ok && tree.has(dockerManifest) {
		a.Kind = KindDockerArchive
		image, manifest, err := openDocker(archive, selector)
		if err == nil {
			a.blobs = image
		}
		return []ocispec.Descriptor{manifest}, err
	}
	return nil, fmt.Errorf("%w: neither %s nor %s in it: no OCI layout, OCI archive or docker archive",
		ErrNotFound, ocispec.ImageLayoutFile, dockerManifest)
}

// read takes in manifest and config, and checks that every blob they name is
// there with its size, as far as that can be told without reading it.
func (a *Artifact) read(ctx context.Context, descriptor ocispec.Descriptor, chosen ocispec.Platform) error {
	a.Digest = descriptor.Digest
	if err := fetchJSON(ctx, a.blobs, descriptor, &a.Manifest); err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	if err := fetchJSON(ctx, a.blobs, a.Manifest.Config, &a.Config); err != nil {
		return fmt.Errorf("image config: %w", err)
	}
	var err error
	if a.Description, err = imagespec.Describe(a.Config); err != nil {
		return err
	}
	if err := a.isFor(descriptor.Platform, chosen); err != nil {
		return err
	}
	if a.RootfsLayers, a.ImageLayers, err = imagespec.ImageLayers(a.Manifest, a.Config); err != nil {
		return err
	}
	local, ok := a.blobs.(interface {
		stat(ocispec.Descriptor) error
	})
	if !ok {
		return nil
	}
	for i, layer := range a.Manifest.Layers {
		if err := local.stat(layer); err != nil {
			return fmt.Errorf("layer %d of %d: %w", i+1, len(a.Manifest.Layers), err)
		}
	}
	return nil
}

// isFor checks that the config's platform is the one that its descriptor specifies, if it
// specifies any, and the one that was chosen: what is sent to a host runs there.
func (a *Artifact) isFor(described *ocispec.Platform, chosen ocispec.Platform) error {
	config := a.Config.Platform
	if described != nil && !Matches(*described, config) {
		return fmt.Errorf("%w: its config is for %s, its descriptor for %q", imagespec.ErrInvalid,
			imagespec.FormatPlatform(config), imagespec.FormatPlatform(*described))
	}
	if !Matches(chosen, config) {
		return fmt.Errorf("%w: %s; its config is for %s", ErrPlatform, imagespec.FormatPlatform(chosen), imagespec.FormatPlatform(config))
	}
	return nil
}

// Close releases the file or connections.
func (a *Artifact) Close() error {
	if a.blobs == nil {
		return nil
	}
	return a.blobs.Close()
}

// OpenBlob opens a blob of the artifact. The reader fails, instead of ending,
// when size or digest are not the descriptor's: what was read must not be
// trusted before io.EOF came.
func (a *Artifact) OpenBlob(ctx context.Context, descriptor ocispec.Descriptor) (io.ReadCloser, error) {
	r, err := a.blobs.Fetch(ctx, descriptor)
	if err != nil {
		return nil, a.explain(fmt.Errorf("blob %s: %w", descriptor.Digest, err))
	}
	return &verified{Reader: layerfs.VerifyBlob(r, descriptor), Closer: r, artifact: a, digest: descriptor.Digest}, nil
}

// verified is a blob that says whose it is when it fails.
type verified struct {
	io.Reader
	io.Closer
	artifact *Artifact
	digest   digest.Digest
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.Reader.Read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: it ends early", v.artifact.early())
	}
	return n, v.artifact.explain(fmt.Errorf("blob %s: %w", v.digest, err))
}

// early is what it means that a blob ends too soon.
func (a *Artifact) early() error {
	if a.Kind == KindRegistry {
		return errBrokenOff
	}
	return ErrDamaged
}

// fetchJSON reads a manifest, index or config, verified and bounded.
func fetchJSON(ctx context.Context, from content.Fetcher, descriptor ocispec.Descriptor, into any) error {
	if descriptor.Size < 0 || descriptor.Size > imagespec.MaxManifestSize {
		return fmt.Errorf("%s: %w: its size %d is not one of a manifest", descriptor.Digest, ErrDamaged, descriptor.Size)
	}
	data, err := content.FetchAll(ctx, from, descriptor)
	if err != nil {
		return fmt.Errorf("%s: %w", descriptor.Digest, layerfs.MarkDamaged(err))
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w: %w", descriptor.Digest, ErrDamaged, err)
	}
	return nil
}

// explain names the artifact in an error and says what to do.
func (a *Artifact) explain(err error) error {
	mend := ""
	switch {
	case errors.Is(err, errBrokenOff):
		mend = "; run the same command again: what arrived is kept"
	case errors.Is(err, ErrDamaged) && a.Kind == KindRegistry:
		mend = "; the registry sends other bytes than its digests say: push the image again"
	case errors.Is(err, ErrDamaged):
		mend = "; copy it again, and compare its checksum (sha256sum) with the original's"
	case errors.Is(err, imagespec.ErrNotClusterImage):
		mend = "; a cluster image is built from a Kubefile: docker buildx build -f Kubefile ."
	}
	return fmt.Errorf("%s: %w%s", a.Name, err, mend)
}
