// Package layers keeps the layers of images on a host: it receives and verifies them, unpacks the rootfs, fills the image store, and removes
// what is no longer needed.
package layers

import (
	"fmt"
	"io"
	"os"
	"path"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/agent/clusterdir"
	"github.com/kubefile/kubefile/runner/agent/wire"
)

const copyBuffer = 256 << 10

// blobFile returns a blob's file below an OCI layout's root.
func blobFile(b wire.Blob, layout string) (string, error) {
	file, err := imagespec.BlobPath(b.Digest)
	if err != nil {
		return "", err
	}
	return path.Join(layout, file), nil
}

// present says whether a blob is in the layout, whole. Blobs get their names
// only when they were verified and synced, so the size is enough.
func present(b wire.Blob, root *os.Root, layout string) bool {
	file, err := blobFile(b, layout)
	if err != nil {
		return false
	}
	info, err := root.Stat(file)
	return err == nil && info.Mode().IsRegular() && info.Size() == b.Size
}

// PutBlob receives one rootfs layer as it is shipped.
func PutBlob(r wire.BlobRequest, content io.Reader) (struct{}, error) {
	root, err := clusterdir.OpenDir(r.Dir)
	if err != nil {
		return struct{}{}, err
	}
	defer root.Close()
	if err := clusterdir.NeedSpace(r.Dir, r.Size); err != nil {
		return struct{}{}, err
	}
	return struct{}{}, receive(root, "", r.Blob, content)
}

// receive writes a blob into a layout: verified while it is written, synced, and
// only then given its name.
func receive(root *os.Root, layout string, b wire.Blob, content io.Reader) error {
	file, err := blobFile(b, layout)
	if err != nil {
		return err
	}
	if b.Size < 0 {
		return fmt.Errorf("blob %s: %w: size %d", b.Digest, wire.ErrInvalid, b.Size)
	}
	temp, err := clusterdir.CreateIncoming(root)
	if err != nil {
		return err
	}
	defer temp.Discard()
	verifier := b.Digest.Verifier()
	// One byte more than it should be is enough to know that it is too long.
	n, err := io.CopyBuffer(io.MultiWriter(temp.File, verifier), io.LimitReader(content, b.Size+1), make([]byte, copyBuffer))
	if err != nil {
		return fmt.Errorf("receiving blob %s: %w", b.Digest, err)
	}
	if n != b.Size || !verifier.Verified() {
		return fmt.Errorf("blob %s: %w: %d bytes of %d arrived, or other bytes than announced", b.Digest, wire.ErrDamaged, n, b.Size)
	}
	return temp.Publish(file, 0o644)
}

// Have returns which layers need not be sent, and clears away what interrupted
// transfers left.
func Have(r wire.HaveRequest) (wire.HaveAnswer, error) {
	var answer wire.HaveAnswer
	root, err := clusterdir.OpenDir(r.Dir)
	if err != nil {
		return answer, err
	}
	defer root.Close()
	if err := clusterdir.SweepIncoming(root); err != nil {
		return answer, err
	}
	for _, b := range r.Blobs {
		if present(b, root, "") {
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
