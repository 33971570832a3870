package imagespec

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// MaxTreeSize bounds the compressed tree of a rootfs, in bytes.
	MaxTreeSize = 128 << 10
	// MaxTreeEntries bounds the entries of a tree.
	MaxTreeEntries = 20000

	// maxTreeBytes bounds a tree without its compression: a header and the two records of a long name for each entry.
	maxTreeBytes = MaxTreeEntries * 3 * 1024
	// placeholderID owns the files of a tree. Together with their mode, it distinguishes them from files that a build copies.
	placeholderID = 65534
)

// TreeLabel is the value of [LabelRootfs].
type TreeLabel struct {
	// History is the number of history entries of the image. A tool that changes the files and keeps the labels adds an entry.
	History int `json:"history"`
	// Tree is a tree that [Tree.Marshal] wrote.
	Tree []byte `json:"tree"`
}

// RootfsTree returns the tree of the rootfs that the config describes. It is false if the config has none that can be trusted.
func RootfsTree(config ocispec.Image) ([]byte, bool) {
	text := config.Config.Labels[LabelRootfs]
	if text == "" || len(text) > 2*MaxTreeSize {
		return nil, false
	}
	var label TreeLabel
	if err := json.Unmarshal([]byte(text), &label); err != nil || label.History != len(config.History) {
		return nil, false
	}
	if CheckTree(label.Tree) != nil {
		return nil, false
	}
	return label.Tree, true
}

// Tree lists the files of a rootfs by path: what they are, and not what is in them.
type Tree map[string]TreeEntry

// TreeEntry is one file. Mode, UID and GID count for directories only.
type TreeEntry struct {
	Mode     fs.FileMode
	UID, GID int
	Target   string // of a symbolic link
}

// AddOwn adds the files that a cluster image has of its own, except the embedded store.
func (t Tree) AddOwn() {
	for _, name := range []string{RunnerPath, LockPath} {
		t[name] = TreeEntry{}
		if dir := path.Dir(name); !t[dir].Mode.IsDir() {
			t[dir] = TreeEntry{Mode: fs.ModeDir | 0o755}
		}
	}
}

// Marshal writes the tree as a compressed tar archive. It fails with [ErrInvalid] if the tree is too large.
func (t Tree) Marshal() ([]byte, error) {
	if len(t) > MaxTreeEntries {
		return nil, fmt.Errorf("rootfs: %w: more than %d files", ErrInvalid, MaxTreeEntries)
	}
	var b bytes.Buffer
	compressed, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	archive := tar.NewWriter(compressed)
	for _, name := range slices.Sorted(maps.Keys(t)) {
		if err := archive.WriteHeader(t[name].header(name)); err != nil {
			return nil, fmt.Errorf("rootfs: %w: %w", ErrInvalid, err)
		}
	}
	if err := errors.Join(archive.Close(), compressed.Close()); err != nil {
		return nil, err
	}
	if b.Len() > MaxTreeSize {
		return nil, fmt.Errorf("rootfs: %w: its list of files has more than %d bytes", ErrInvalid, MaxTreeSize)
	}
	return b.Bytes(), nil
}

func (e TreeEntry) header(name string) *tar.Header {
	h := &tar.Header{Name: name, Typeflag: tar.TypeReg, Uid: placeholderID, Gid: placeholderID, ModTime: time.Unix(0, 0)}
	switch {
	case e.Mode.IsDir():
		h.Typeflag, h.Uid, h.Gid = tar.TypeDir, e.UID, e.GID
		h.Name += "/"
		h.Mode = int64(e.Mode.Perm())
		for bit, is := range map[int64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
			if e.Mode&is != 0 {
				h.Mode |= bit
			}
		}
	case e.Mode&fs.ModeSymlink != 0:
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, e.Target, 0o777
	}
	return h
}

// CheckTree fails with [ErrInvalid] for anything but a tree as SPEC.md has it.
func CheckTree(data []byte) error {
	if len(data) > MaxTreeSize {
		return fmt.Errorf("rootfs: %w: its list of files has more than %d bytes", ErrInvalid, MaxTreeSize)
	}
	compressed, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("rootfs: %w: %w", ErrInvalid, err)
	}
	archive := tar.NewReader(io.LimitReader(compressed, maxTreeBytes))
	for n := 0; ; n++ {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("rootfs: %w: %w", ErrInvalid, err)
		}
		if n == MaxTreeEntries {
			return fmt.Errorf("rootfs: %w: more than %d files", ErrInvalid, MaxTreeEntries)
		}
		if _, err := SafePath(strings.TrimSuffix(h.Name, "/")); err != nil {
			return fmt.Errorf("rootfs: %w", err)
		}
		if h.Typeflag != tar.TypeDir && h.Typeflag != tar.TypeSymlink && (h.Typeflag != tar.TypeReg || h.Size != 0) {
			return fmt.Errorf("rootfs: %w: %q is more than a name", ErrInvalid, h.Name)
		}
	}
}
