package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"syscall"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/imagespec"
)

const (
	incomingDir = "incoming"
	copyBuffer  = 256 << 10
)

// blob is the identity of bytes.
type blob struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
}

// at returns the blob's file below an OCI layout's root.
func (b blob) at(layout string) (string, error) {
	file, err := imagespec.BlobPath(b.Digest)
	if err != nil {
		return "", err
	}
	return path.Join(layout, file), nil
}

// present says whether the blob is in the layout, whole. Blobs get their names
// only when they were verified and synced, so the size is enough.
func (b blob) present(root *os.Root, layout string) bool {
	file, err := b.at(layout)
	if err != nil {
		return false
	}
	info, err := root.Stat(file)
	return err == nil && info.Mode().IsRegular() && info.Size() == b.Size
}

type blobRequest struct {
	Dir string `json:"dir"`
	blob
}

// putBlob receives one rootfs layer as it is shipped.
func putBlob(r blobRequest, content io.Reader) (struct{}, error) {
	root, err := openDir(r.Dir)
	if err != nil {
		return struct{}{}, err
	}
	defer root.Close()
	if err := needSpace(r.Dir, r.Size); err != nil {
		return struct{}{}, err
	}
	return struct{}{}, receive(root, "", r.blob, content)
}

// receive writes a blob into a layout: verified while it is written, synced, and
// only then given its name.
func receive(root *os.Root, layout string, b blob, content io.Reader) error {
	file, err := b.at(layout)
	if err != nil {
		return err
	}
	if b.Size < 0 {
		return fmt.Errorf("blob %s: %w: size %d", b.Digest, ErrInvalid, b.Size)
	}
	temp, err := createIncoming(root)
	if err != nil {
		return err
	}
	defer temp.discard()
	verifier := b.Digest.Verifier()
	// One byte more than it should be is enough to know that it is too long.
	n, err := io.CopyBuffer(io.MultiWriter(temp.File, verifier), io.LimitReader(content, b.Size+1), make([]byte, copyBuffer))
	if err != nil {
		return fmt.Errorf("receiving blob %s: %w", b.Digest, err)
	}
	if n != b.Size || !verifier.Verified() {
		return fmt.Errorf("blob %s: %w: %d bytes of %d arrived, or other bytes than announced", b.Digest, ErrDamaged, n, b.Size)
	}
	return temp.publish(file, 0o644)
}

// incoming is a file that is being received. It is locked as long as its writer
// lives, so that one that was left behind can be told.
type incoming struct {
	*os.File
	root *os.Root
	name string
}

func createIncoming(root *os.Root) (*incoming, error) {
	if err := root.MkdirAll(incomingDir, 0o700); err != nil {
		return nil, err
	}
	name := path.Join(incomingDir, fmt.Sprintf("%d-%s", os.Getpid(), randomName()))
	f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", name, err)
	}
	return &incoming{File: f, root: root, name: name}, nil
}

// publish syncs the file and moves it to its name.
func (i *incoming) publish(file string, mode os.FileMode) error {
	if err := i.Chmod(mode); err != nil {
		return err
	}
	if err := i.Sync(); err != nil {
		return err
	}
	dir := path.Dir(file)
	if err := i.root.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := i.root.Rename(i.name, file); err != nil {
		return err
	}
	i.name = ""
	return syncDir(i.root, dir)
}

// discard closes the file, and removes it if it was not published.
func (i *incoming) discard() {
	i.Close()
	if i.name != "" {
		i.root.Remove(i.name)
	}
}

// sweepIncoming removes what killed receivers left behind.
func sweepIncoming(root *os.Root) error {
	entries, err := readDir(root, incomingDir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := path.Join(incomingDir, entry.Name())
		f, err := root.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			err = root.Remove(name)
		}
		f.Close()
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

type haveRequest struct {
	Dir    string          `json:"dir"`
	Blobs  []blob          `json:"blobs"`  // rootfs layers
	Layers []digest.Digest `json:"layers"` // image layers
	// Keep are the layers of all images that are needed; nil when that is not asked.
	Keep []digest.Digest `json:"keep,omitempty"`
}

// haveAnswer lists those that are there.
type haveAnswer struct {
	Blobs    []digest.Digest `json:"blobs"`
	Layers   []digest.Digest `json:"layers"`
	Unneeded []Unneeded      `json:"unneeded,omitempty"`
}

// have returns which layers need not be sent, and clears away what interrupted
// transfers left.
func have(r haveRequest) (haveAnswer, error) {
	var answer haveAnswer
	root, err := openDir(r.Dir)
	if err != nil {
		return answer, err
	}
	defer root.Close()
	if err := sweepIncoming(root); err != nil {
		return answer, err
	}
	for _, b := range r.Blobs {
		if b.present(root, "") {
			answer.Blobs = append(answer.Blobs, b.Digest)
		}
	}
	for _, layer := range r.Layers {
		if _, ok := readMarker(root, layer); ok {
			answer.Layers = append(answer.Layers, layer)
		}
	}
	if len(r.Keep) > 0 {
		answer.Unneeded, err = unneeded(root, r.Keep)
	}
	return answer, err
}
