package llb

import (
	"cmp"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/client/llb"
	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/imagespec"
)

const (
	// MaxLayers limits the layers of an image: Docker's overlay2 driver stops near 125, and a derived build needs room.
	MaxLayers = 99
	// MaxNewLayers limits the layers that one build adds.
	MaxNewLayers = 64
	// bigBlob is the size in bytes from which a blob is worth a layer of its own, which registries and sites then share
	// between versions.
	bigBlob = 4 << 20

	registryDir = "/" + imagespec.RegistryDir
)

// Blob is one file of the embedded images: where its bytes come from and how they are called.
type Blob struct {
	Digest digest.Digest
	Size   int64 // bytes
	Source llb.State
	Path   string // in Source
}

// RegistryBlob is a layer or a config that BuildKit fetches itself: exact bytes, checked against the digest, with the user's
// credentials and the daemon's mirrors. It needs the capability source.imageblob (BuildKit 0.28).
func RegistryBlob(repository reference.Named, dgst digest.Digest, size int64) (Blob, error) {
	ref, err := reference.WithDigest(reference.TrimNamed(repository), dgst)
	if err != nil {
		return Blob{}, err
	}
	return Blob{
		Digest: dgst,
		Size:   size,
		Source: llb.ImageBlob(ref.String(), llb.Filename(dgst.Encoded()), llb.Chmod(0o644), internal("fetch "+ref.String())),
		Path:   "/" + dgst.Encoded(),
	}, nil
}

// File is a small file with its content, for what the build itself writes.
type File struct {
	Path string // relative to the image's root
	Data []byte
}

// Layer is one layer on top of the rootfs.
type Layer struct {
	State  llb.State
	Images bool   // holds nothing but embedded images
	Name   string // what is in it, for progress and history
}

// Layers distributes the embedded images over at most budget layers: the biggest blobs get one each, biggest first; all others and the files
// share the last one. What is in a layer, and nothing else, decides its bytes.
func Layers(blobs []Blob, files []File, budget int) []Layer {
	blobs = slices.Clone(blobs)
	slices.SortFunc(blobs, func(a, b Blob) int {
		return cmp.Or(cmp.Compare(b.Size, a.Size), cmp.Compare(a.Digest, b.Digest))
	})
	blobs = slices.CompactFunc(blobs, func(a, b Blob) bool { return a.Digest == b.Digest })
	var layers []Layer
	for len(blobs) > 0 && blobs[0].Size >= bigBlob && len(layers) < budget-1 {
		layers = append(layers, blobLayer(blobs[0]))
		blobs = blobs[1:]
	}
	if len(blobs)+len(files) > 0 {
		layers = append(layers, packedLayer(blobs, files))
	}
	return layers
}

// Program is a layer with one file out of source.
func Program(source llb.State, from, to, name string) Layer {
	return layer(source, from, "/"+to, name)
}

// Content is a layer with one file that the build itself writes.
func Content(f File, name string) Layer {
	st := llb.Scratch().File(
		llb.Mkdir(path.Dir("/"+f.Path), 0o755, llb.WithParents(true)).Mkfile("/"+f.Path, 0o644, f.Data),
		internal("write "+path.Base(f.Path)))
	top, _, _ := strings.Cut(f.Path, "/")
	return layer(st, "/"+top, "/"+top, name)
}

func blobLayer(b Blob) Layer {
	from, to := b.Path, blobPath(b.Digest)
	if dir, ok := strings.CutSuffix(from, to); ok {
		// Before 0.17, BuildKit dates the directories that it creates for a file with the time of the build.
		from, to = dir+registryDir, registryDir
	}
	l := layer(b.Source, from, to, "image blob "+b.Digest.String())
	l.Images = true
	return l
}

func packedLayer(blobs []Blob, files []File) Layer {
	slices.SortFunc(blobs, func(a, b Blob) int { return cmp.Compare(a.Digest, b.Digest) })
	files = slices.SortedFunc(slices.Values(files), func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	action := llb.Mkdir(registryDir, 0o755)
	for _, b := range blobs {
		action = action.Copy(b.Source, b.Path, blobPath(b.Digest), &llb.CopyInfo{CreateDestPath: true})
	}
	for _, f := range files {
		action = action.
			Mkdir(path.Dir("/"+f.Path), 0o755, llb.WithParents(true)).
			Mkfile("/"+f.Path, 0o644, f.Data)
	}
	packed := llb.Scratch().File(action, internal("collect small blobs and references"))
	l := layer(packed, registryDir, registryDir, "images")
	l.Images = true
	return l
}

// layer copies one file or directory to its place in a new layer, with everything settled that could differ between two builds: owner,
// time, and the time of the directories, which only a single copy into an empty layer leaves alone.
func layer(source llb.State, from, to, name string) Layer {
	st := llb.Scratch().File(
		llb.Copy(source, from, to, &llb.CopyInfo{CreateDestPath: true, CopyDirContentsOnly: true}, llb.WithUser("0:0"), llb.WithCreatedTime(time.Unix(0, 0))),
		internal("layer of "+name),
	)
	return Layer{State: st, Name: name}
}

// internal names a step in the progress that no Kubefile contains.
func internal(name string) llb.ConstraintsOpt { return llb.WithCustomName("[kubefile] " + name) }

// blobPath returns the path of a blob in the store (imagespec.BlobPath; the digests are valid here).
func blobPath(dgst digest.Digest) string {
	return registryDir + "/blobs/" + dgst.Algorithm().String() + "/" + dgst.Encoded()
}

// Assemble puts the layers onto the rootfs: by a merge, which leaves every layer as it is, or by copies where the worker cannot
// merge (Docker's graph drivers).
func Assemble(rootfs llb.State, layers []Layer, canMerge bool) llb.State {
	if !canMerge {
		for _, l := range layers {
			rootfs = rootfs.File(
				llb.Copy(l.State, "/", "/", &llb.CopyInfo{CopyDirContentsOnly: true}),
				internal("copy the layer of "+l.Name),
			)
		}
		return rootfs
	}
	states := []llb.State{rootfs}
	for _, l := range layers {
		states = append(states, l.State)
	}
	return llb.Merge(states, internal("assemble the image"))
}
