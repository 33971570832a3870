package llb

import (
	"cmp"
	"path"
	"slices"
	"time"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/client/llb"
	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/imagespec"
)

const (
	// MaxLayers is how many layers an image may have: Docker's overlay2 driver stops near 125, and a derived build needs room.
	MaxLayers = 99
	// MaxNewLayers is how many layers one build may add.
	MaxNewLayers = 64
	// bigBlob is the size in bytes from which a blob is worth a layer of its own, which registries and sites then share
	// between versions.
	bigBlob = 4 << 20
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
		Source: llb.ImageBlob(ref.String(), llb.Filename(dgst.Encoded()), llb.Chmod(0o644), llb.WithCustomName("[kubefile] fetch "+ref.String())),
		Path:   "/" + dgst.Encoded(),
	}, nil
}

// File is a small file with its content, for what the build itself writes.
type File struct {
	Path string // relative to the image's root
	Data []byte
}

// Layer is one layer on top of the rootfs, with its line in the image's history.
type Layer struct {
	State     llb.State
	Images    bool // holds nothing but embedded images
	CreatedBy string
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

// Plain is a layer with one file that is no image.
func Plain(source llb.State, from, to string) Layer {
	name := "KUBEFILE /" + to
	return Layer{State: settled(source, from, "/"+to, name), CreatedBy: name}
}

// Content is a layer with one file that the build itself writes.
func Content(f File) Layer {
	st := llb.Scratch().File(llb.Mkfile("/file", 0o644, f.Data), llb.WithCustomName("[kubefile] write "+path.Base(f.Path)))
	return Plain(st, "/file", f.Path)
}

func blobLayer(b Blob) Layer {
	name := "KUBEFILE image blob " + b.Digest.String()
	return Layer{State: settled(b.Source, b.Path, blobPath(b.Digest), name), Images: true, CreatedBy: name}
}

func packedLayer(blobs []Blob, files []File) Layer {
	slices.SortFunc(blobs, func(a, b Blob) int { return cmp.Compare(a.Digest, b.Digest) })
	files = slices.SortedFunc(slices.Values(files), func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	action := llb.Mkdir("/registry", 0o755)
	for _, b := range blobs {
		action = action.Copy(b.Source, b.Path, blobPath(b.Digest), &llb.CopyInfo{CreateDestPath: true})
	}
	for _, f := range files {
		action = action.
			Mkdir(path.Dir("/"+f.Path), 0o755, llb.WithParents(true)).
			Mkfile("/"+f.Path, 0o644, f.Data)
	}
	const name = "KUBEFILE images"
	packed := llb.Scratch().File(action, llb.WithCustomName("[kubefile] collect small blobs and references"))
	return Layer{State: settled(packed, "/registry", "/registry", name), Images: true, CreatedBy: name}
}

// settled copies one file or directory to its place in a new layer, with everything that could differ between two builds settled:
// owner, time, and the time of the directories, which only one copy into an empty layer leaves alone.
func settled(source llb.State, from, to, name string) llb.State {
	return llb.Scratch().File(
		llb.Copy(source, from, to, &llb.CopyInfo{CreateDestPath: true, CopyDirContentsOnly: true}, llb.WithUser("0:0"), llb.WithCreatedTime(time.Unix(0, 0))),
		llb.WithCustomName("[kubefile] "+name),
	)
}

// blobPath is where the store has a blob (imagespec.BlobPath; the digests are valid here).
func blobPath(dgst digest.Digest) string {
	return "/" + imagespec.RegistryDir + "/blobs/" + dgst.Algorithm().String() + "/" + dgst.Encoded()
}

// Assemble puts the layers onto the rootfs: by a merge, which leaves every layer as it is, or by copies where the worker cannot
// merge (Docker's graph drivers).
func Assemble(rootfs llb.State, layers []Layer, canMerge bool) llb.State {
	if !canMerge {
		for _, l := range layers {
			rootfs = rootfs.File(
				llb.Copy(l.State, "/", "/", &llb.CopyInfo{CopyDirContentsOnly: true}),
				llb.WithCustomName("[kubefile] "+l.CreatedBy),
			)
		}
		return rootfs
	}
	states := []llb.State{rootfs}
	for _, l := range layers {
		states = append(states, l.State)
	}
	return llb.Merge(states, llb.WithCustomName("[kubefile] assemble the image"))
}
