// Package audit reads every byte of an artifact, for all of its platforms, and reports everything that is wrong with it.
package audit

import (
	"context"
	"fmt"
	"io"
	"path"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/source/layerfs"
)

// auditedVersion changes when a field of the result changes its meaning or is removed.
const auditedVersion = 1

// Result is the result of an [Run].
type Result struct {
	Version   int         `json:"version"`
	Name      string      `json:"name"`
	Kind      source.Kind `json:"source"`
	Platforms []Platform  `json:"platforms"`
	Problems  []Finding   `json:"problems"`
	Warnings  []Finding   `json:"warnings"`
}

// Platform is the image for one platform.
type Platform struct {
	Platform string        `json:"platform"`
	Digest   digest.Digest `json:"digest"`
	Layers   int           `json:"layers"`
	Bytes    int64         `json:"bytes"` // of the layers, as they are shipped
	Images   int           `json:"images"`
}

// Finding is one thing that is wrong.
type Finding struct {
	Platform string `json:"platform,omitempty"` // empty: not of one platform
	Where    string `json:"where"`              // a blob, layer or file
	Problem  string `json:"problem"`
}

// Progress is told before each layer is read.
type Progress func(platform string, layer, layers int, bytes int64)

// maxFindings bounds what an audit finds: no one reads more.
const maxFindings = 1000

// maxBlobs bounds the blobs that are looked at.
const maxBlobs = 100_000

// errEnough says that an audit ends early.
var errEnough = fmt.Errorf("more than %d problems; the rest was not checked", maxFindings)

// Run reads every byte of an artifact, for all of its platforms, and returns everything that is wrong with it: blobs that are missing or
// have another size or digest, layers that a host could not unpack, a lock and an embedded store that disagree. Memory does not grow with
// the artifact. An error says that it could not be read to the end; what was found until then is in the result, unless that is nil.
func Run(ctx context.Context, image string, opts source.Options, progress Progress) (*Result, error) {
	whole, err := source.OpenWhole(ctx, image, opts)
	if err != nil {
		return nil, err
	}
	defer whole.Close()
	a := &audit{whole: whole, progress: progress, seen: map[digest.Digest]bool{}, result: &Result{
		Version: auditedVersion, Name: image, Kind: whole.Kind, Platforms: []Platform{}, Problems: []Finding{}, Warnings: []Finding{}}}
	for _, root := range whole.Roots {
		if err = a.visit(ctx, root, nil, 0); err != nil {
			return a.result, err
		}
	}
	if len(a.result.Platforms) == 0 && len(a.result.Problems) == 0 {
		return a.result, whole.Explain(imagespec.ErrNotClusterImage)
	}
	return a.result, a.unreferenced()
}

// audit is one run of [Run].
type audit struct {
	whole    *source.Whole
	progress Progress
	result   *Result
	seen     map[digest.Digest]bool // blobs that something refers to
}

// problem takes in what is wrong. It returns an error when the audit is to end.
func (a *audit) problem(ctx context.Context, platform, where string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if len(a.result.Problems) == maxFindings {
		return errEnough
	}
	a.result.Problems = append(a.result.Problems, Finding{Platform: platform, Where: where, Problem: err.Error()})
	return nil
}

func (a *audit) warn(platform, where, text string) {
	if len(a.result.Warnings) < maxFindings {
		a.result.Warnings = append(a.result.Warnings, Finding{Platform: platform, Where: where, Problem: text})
	}
}

// visit checks a manifest or an index, and what is below it. Each is checked once.
func (a *audit) visit(ctx context.Context, d ocispec.Descriptor, platform *ocispec.Platform, depth int) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if a.seen[d.Digest] {
		return nil
	}
	if len(a.seen) > maxBlobs {
		return a.problem(ctx, "", "index "+d.Digest.String(), fmt.Errorf("%w: more than %d blobs", source.ErrDamaged, maxBlobs))
	}
	a.seen[d.Digest] = true
	if d.Platform != nil {
		platform = d.Platform
	}
	switch d.MediaType {
	case ocispec.MediaTypeImageIndex, source.MediaTypeDockerIndex:
		return a.index(ctx, d, depth)
	case ocispec.MediaTypeImageManifest, source.MediaTypeDockerManifest:
		return a.manifest(ctx, d, platform)
	}
	return a.problem(ctx, "", "blob "+d.Digest.String(), fmt.Errorf("%w: media type %q is neither a manifest's nor an index's", imagespec.ErrInvalid, d.MediaType))
}

func (a *audit) index(ctx context.Context, d ocispec.Descriptor, depth int) error {
	where := "index " + d.Digest.String()
	if depth > imagespec.MaxIndexDepth {
		return a.problem(ctx, "", where, fmt.Errorf("%w: indexes nested more than %d deep", source.ErrDamaged, imagespec.MaxIndexDepth))
	}
	var index ocispec.Index
	if err := a.readJSON(ctx, d, &index); err != nil {
		return a.problem(ctx, "", where, err)
	}
	for _, child := range index.Manifests {
		if err := a.visit(ctx, child, nil, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (a *audit) manifest(ctx context.Context, d ocispec.Descriptor, platform *ocispec.Platform) error {
	name := ""
	if platform != nil {
		name = source.PlatformName(*platform)
	}
	var manifest ocispec.Manifest
	if err := a.readJSON(ctx, d, &manifest); err != nil {
		return a.problem(ctx, name, "manifest "+d.Digest.String(), err)
	}
	if !isImage(d, manifest) { // an attestation, a signature
		return a.blobs(ctx, name, append([]ocispec.Descriptor{manifest.Config}, manifest.Layers...))
	}
	a.seen[manifest.Config.Digest] = true
	i := &auditedImage{audit: a, platform: name, manifest: manifest}
	if err := a.readJSON(ctx, manifest.Config, &i.config); err != nil {
		if err := a.problem(ctx, name, "config "+manifest.Config.Digest.String(), err); err != nil {
			return err
		}
		return a.blobs(ctx, name, manifest.Layers)
	}
	return i.check(ctx, d)
}

// isImage reports whether a manifest is that of an image, and not that of something about one.
func isImage(d ocispec.Descriptor, manifest ocispec.Manifest) bool {
	return (d.ArtifactType == "" || source.IsImageConfig(d.ArtifactType)) && d.Annotations["vnd.docker.reference.type"] == "" &&
		source.IsImageConfig(manifest.Config.MediaType)
}

// blobs checks blobs by their size and digest alone.
func (a *audit) blobs(ctx context.Context, platform string, all []ocispec.Descriptor) error {
	for _, d := range all {
		if a.seen[d.Digest] {
			continue
		}
		a.seen[d.Digest] = true
		blob, err := a.open(ctx, d)
		if err == nil {
			_, err = io.Copy(io.Discard, blob)
			blob.Close()
		}
		if err == nil {
			continue
		}
		if err := a.problem(ctx, platform, "blob "+d.Digest.String(), err); err != nil {
			return err
		}
	}
	return nil
}

// open opens a blob that verifies itself. Its errors do not name the artifact, as there may be many.
func (a *audit) open(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	if err := d.Digest.Validate(); err != nil {
		return nil, layerfs.MarkDamaged(err)
	}
	blob, err := a.whole.Fetch(ctx, d)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{layerfs.Interruptible(ctx, layerfs.VerifyBlob(blob, d)), blob}, nil
}

func (a *audit) readJSON(ctx context.Context, d ocispec.Descriptor, into any) error {
	if err := d.Digest.Validate(); err != nil {
		return layerfs.MarkDamaged(err)
	}
	return a.whole.ReadJSON(ctx, d, into)
}

// unreferenced warns of files of a layout that nothing refers to. They are harmless, and are not of this image.
func (a *audit) unreferenced() error {
	if len(a.result.Problems) > 0 {
		return nil
	}
	dir, names, err := a.whole.BlobFiles()
	if err != nil {
		return err
	}
	for _, name := range names {
		if !a.seen[digest.NewDigestFromEncoded(digest.SHA256, name)] {
			a.warn("", path.Join(dir, name), "no image refers to it")
		}
	}
	return nil
}

// decompressedLimit bounds the content of a layer of so many bytes: what a few bytes become is not read for hours.
func decompressedLimit(size int64) int64 {
	const least, times = 4 << 30, 100
	if size > (1<<62)/times {
		return 1 << 62
	}
	return least + size*times
}
