package layers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/agent/clusterdir"
	"github.com/kubefile/kubefile/runner/agent/wire"
)

const (
	RootfsDir    = "rootfs"
	rootfsNewDir = "rootfs.new"

	// unpackedFile, in the tree that it describes, lists the layers of the tree. It
	// moves with the tree, so the two can not disagree. No layer may hold it.
	unpackedFile = imagespec.UnpackedPath
)

// unpacked is the content of unpackedFile.
type unpacked struct {
	// BootID is the boot in which it was written: after a power cut a tree that
	// was not finished can not be trusted.
	BootID string          `json:"bootID"`
	Layers []digest.Digest `json:"layers"`
}

// UnpackRootfs makes the rootfs of the received layers, next to the one that is
// there, and exchanges the two when it is complete. An interrupted one is taken
// up at the layer.
func UnpackRootfs(ctx context.Context, r wire.UnpackRequest) (wire.Changed, error) {
	root, err := clusterdir.OpenDir(r.Dir)
	if err != nil {
		return wire.Changed{}, err
	}
	defer root.Close()
	lock, err := clusterdir.LockWork(ctx, root)
	if err != nil {
		return wire.Changed{}, err
	}
	defer lock.Close()
	var want []digest.Digest
	for _, layer := range r.Layers {
		want = append(want, layer.Digest)
	}
	if tree, state, err := openTree(root, RootfsDir); err == nil {
		tree.Close()
		if slices.Equal(state.Layers, want) {
			return wire.Changed{}, root.RemoveAll(rootfsNewDir)
		}
	}
	if err := buildTree(root, r, want); err != nil {
		return wire.Changed{}, err
	}
	if err := exchange(root, rootfsNewDir, RootfsDir); err != nil {
		return wire.Changed{}, err
	}
	return wire.Changed{Changed: true}, root.RemoveAll(rootfsNewDir)
}

// buildTree unpacks the layers that rootfs.new does not have yet.
func buildTree(root *os.Root, r wire.UnpackRequest, want []digest.Digest) error {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	bootID := strings.TrimSpace(string(boot))
	tree, state, err := openTree(root, rootfsNewDir)
	if err != nil || state.BootID != bootID || len(state.Layers) > len(want) || !slices.Equal(state.Layers, want[:len(state.Layers)]) {
		if err == nil {
			tree.Close()
		}
		if err := root.RemoveAll(rootfsNewDir); err != nil {
			return err
		}
		if err := root.Mkdir(rootfsNewDir, 0o755); err != nil {
			return err
		}
		if tree, err = root.OpenRoot(rootfsNewDir); err != nil {
			return err
		}
		state = unpacked{BootID: bootID}
	}
	defer tree.Close()
	for _, layer := range r.Layers[len(state.Layers):] {
		if err := unpackLayer(root, tree, r.Dir, layer); err != nil {
			return fmt.Errorf("rootfs layer %s: %w", layer.Digest, err)
		}
		state.Layers = append(state.Layers, layer.Digest)
		if err := clusterdir.WriteJSON(tree, unpackedFile, state); err != nil {
			return err
		}
	}
	return clusterdir.SyncFS(tree)
}

// openTree opens a rootfs and reads which layers it has.
func openTree(root *os.Root, name string) (*os.Root, unpacked, error) {
	var state unpacked
	tree, err := root.OpenRoot(name)
	if err != nil {
		return nil, state, err
	}
	if err := clusterdir.ReadJSON(tree, unpackedFile, &state); err != nil {
		tree.Close()
		return nil, state, err
	}
	return tree, state, nil
}

// unpackLayer unpacks one received blob.
func unpackLayer(root, tree *os.Root, dir string, layer wire.LayerRequest) error {
	b := wire.Blob{Digest: layer.Digest, Size: layer.Size}
	file, err := blobFile(b, "")
	if err != nil {
		return err
	}
	f, err := root.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	free, err := clusterdir.Space(dir)
	if err != nil {
		return err
	}
	u := unpacker{root: tree, written: make(map[string]bool), left: free}
	if err = readLayer(f, layer, u.entry); errors.Is(err, wire.ErrDamaged) {
		// The disk does not hold what was verified when it arrived: receive it again.
		return errors.Join(err, root.Remove(file))
	}
	return err
}

// exchange puts a tree in the place of another at once.
func exchange(root *os.Root, from, to string) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	err = unix.Renameat2(int(dir.Fd()), from, int(dir.Fd()), to, unix.RENAME_EXCHANGE)
	if errors.Is(err, fs.ErrNotExist) { // nothing there to exchange with
		err = unix.Renameat(int(dir.Fd()), from, int(dir.Fd()), to)
	}
	if err != nil {
		return fmt.Errorf("putting %s in place: %w", to, err)
	}
	return dir.Sync()
}
