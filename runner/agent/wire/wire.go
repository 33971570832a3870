// Package wire is what the delivery machine and the agent say to each other: the verbs, with their requests and answers, and the errors of both
// ends. A request is the argument of a command, so nothing in it is secret.
package wire

import (
	"errors"
	"io/fs"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/runner/source/layerfs"
)

// Path is where the agent is installed on a host.
const Path = "/usr/local/bin/sealer-run"

// Protocol is the version of requests and answers. Both ends must have the same.
const Protocol = 4

var (
	// ErrDamaged says that bytes are not those of their digest.
	ErrDamaged = layerfs.ErrDamaged
	// ErrNoSpace says that something would fill the host's disk.
	ErrNoSpace = errors.New("not enough space")
	// ErrInvalid says that a layer or request holds what it must not.
	ErrInvalid = errors.New("not acceptable")
	// ErrForeign says that a directory is not the cluster's.
	ErrForeign = errors.New("not made for this cluster")
)

// Verbs of the agent.
const (
	VerbInstall  = "install"
	VerbHave     = "have"
	VerbBlob     = "put-blob"
	VerbLayer    = "put-layer"
	VerbCommit   = "commit-images"
	VerbUnpack   = "unpack-rootfs"
	VerbWrite    = "write-file"
	VerbBlock    = "write-block"
	VerbProtocol = "protocol"
	VerbBegin    = "begin"
	VerbProbe    = "probe"
	VerbUnit     = "watch-unit"
	VerbRemove   = "remove-created"
	VerbObserve  = "observe"

	VerbRemoveLayers = "remove-layers"
)

// Changed is the answer of verbs that may find nothing to do.
type Changed struct {
	Changed bool `json:"changed"`
}

// InstallRequest makes the cluster's directory Dir, and puts the runner in its place.
type InstallRequest struct {
	Dir    string        `json:"dir"`
	Path   string        `json:"path"`
	Temp   string        `json:"temp"` // where the runner was put; empty: Path is right already
	Digest digest.Digest `json:"digest"`
}

// InstallAnswer is what the runner says of itself.
type InstallAnswer struct {
	Protocol int  `json:"protocol"`
	Changed  bool `json:"changed"`
}

// Blob is the identity of bytes.
type Blob struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
}

// HaveRequest asks which layers are there.
type HaveRequest struct {
	Dir    string          `json:"dir"`
	Blobs  []Blob          `json:"blobs"`  // rootfs layers
	Layers []digest.Digest `json:"layers"` // image layers
	// Keep are the layers of all images that are needed; nil when that is not asked.
	Keep []digest.Digest `json:"keep,omitempty"`
}

// HaveAnswer lists those that are there.
type HaveAnswer struct {
	Blobs    []digest.Digest `json:"blobs"`
	Layers   []digest.Digest `json:"layers"`
	Unneeded []Unneeded      `json:"unneeded,omitempty"`
}

// Unneeded is a layer on a host that is not of the images that were named.
type Unneeded struct {
	Digest digest.Digest `json:"digest"`
	// References are the images, in full form, that only such layers have.
	References []string `json:"references,omitempty"`
}

// BlobRequest announces a rootfs layer, which follows.
type BlobRequest struct {
	Dir string `json:"dir"`
	Blob
}

// LayerRequest announces an image layer, which follows.
type LayerRequest struct {
	Dir    string        `json:"dir"`
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
	DiffID digest.Digest `json:"diffID"`
}

// CommitRequest makes the references of image layers valid.
type CommitRequest struct {
	Dir    string          `json:"dir"`
	Layers []digest.Digest `json:"layers"` // in the image's order
}

// UnpackRequest makes the rootfs.
type UnpackRequest struct {
	Dir    string         `json:"dir"`
	Layers []LayerRequest `json:"layers"` // in the image's order; Dir is not used
}

// RemoveLayersRequest removes layers, and what only they brought.
type RemoveLayersRequest struct {
	Dir    string          `json:"dir"`
	Layers []digest.Digest `json:"layers"`
}

// RemoveLayersAnswer has how many bytes that were.
type RemoveLayersAnswer struct {
	Bytes int64 `json:"bytes"`
}

// FileRequest announces the content of a file, which follows.
type FileRequest struct {
	Dir  string      `json:"dir"`
	Path string      `json:"path"`
	Mode fs.FileMode `json:"mode"`
	// Kubeconfig says that the content is one: what others add to it stays when it is removed.
	Kubeconfig bool `json:"kubeconfig,omitempty"`
}

// BlockRequest puts lines of a cluster into a file that others write, too.
type BlockRequest struct {
	Dir     string   `json:"dir"`
	Path    string   `json:"path"`
	Cluster string   `json:"cluster"`
	Lines   []string `json:"lines"`
}

// RemoveRequest undoes all that the journal of a cluster's directory lists. An empty ID is not compared.
type RemoveRequest struct {
	Dir     string `json:"dir"`
	Cluster string `json:"cluster"`
	ID      string `json:"id,omitempty"`
}

// RemoveAnswer has what was not undone.
type RemoveAnswer struct {
	Left []string `json:"left"` // what was not removed, each with the reason
}
