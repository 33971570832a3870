package layers

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/agent/clusterdir"
	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/source/layerfs"
)

// unpacker applies one layer to a tree (OCI image-spec, layer.md).
type unpacker struct {
	root    *os.Root
	written map[string]bool // what this layer made: its whiteouts do not touch it
	left    int64           // bytes that may still be written
}

// entry applies one entry of the layer.
func (u *unpacker) entry(header *tar.Header, name string, content io.Reader) error {
	if name == "." {
		return nil
	}
	hidden, ok, err := imagespec.ReadWhiteout(name)
	switch {
	case err != nil:
		return err
	case ok && hidden.Path == "":
		return nil
	case ok && hidden.Opaque:
		return u.hideLower(hidden.Path)
	case ok:
		return u.hide(hidden.Path)
	}
	mode, err := layerfs.EntryType(header)
	if err == nil {
		err = imagespec.CheckRootfs(name, mode)
	}
	if err != nil {
		return err
	}
	dir := path.Dir(name)
	if err := u.root.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for p := name; p != "."; p = path.Dir(p) {
		u.written[p] = true
	}
	there, err := u.root.Lstat(name)
	if err == nil && !(there.IsDir() && header.Typeflag == tar.TypeDir) {
		err = u.root.RemoveAll(name)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return u.create(header, name, content)
}

// create makes what the header says; nothing of another type is in its place.
func (u *unpacker) create(header *tar.Header, name string, content io.Reader) error {
	switch header.Typeflag {
	case tar.TypeReg:
		return u.file(header, name, content)
	case tar.TypeDir:
		if err := u.root.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := u.own(header, name); err != nil {
			return err
		}
		return u.root.Chmod(name, header.FileInfo().Mode().Perm()|header.FileInfo().Mode()&fs.ModeSticky)
	case tar.TypeSymlink:
		// It may point anywhere: nothing in this package follows it out of the tree.
		if err := imagespec.CheckLink(header.Linkname); err != nil {
			return err
		}
		if err := u.root.Symlink(header.Linkname, name); err != nil {
			return err
		}
		return u.own(header, name)
	case tar.TypeLink:
		target, err := imagespec.SafePath(header.Linkname)
		if err != nil {
			return err
		}
		return u.root.Link(target, name)
	}
	return fmt.Errorf("%w: a device, pipe or other special file (type %q)", wire.ErrInvalid, header.Typeflag)
}

// file writes a regular file.
func (u *unpacker) file(header *tar.Header, name string, content io.Reader) error {
	if header.Size > u.left {
		return fmt.Errorf("%w: the layer's files do not fit on the disk", wire.ErrNoSpace)
	}
	f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, content)
	u.left -= n
	if err == nil && os.Geteuid() == 0 {
		err = f.Chown(header.Uid, header.Gid) // before Chmod: it clears set-user-ID
	}
	if err == nil {
		err = f.Chmod(header.FileInfo().Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return u.root.Chtimes(name, header.ModTime, header.ModTime)
}

// own gives a directory or link the owner that the layer says; only root can.
func (u *unpacker) own(header *tar.Header, name string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return u.root.Lchown(name, header.Uid, header.Gid)
}

// hide removes what lower layers have at a path.
func (u *unpacker) hide(name string) error {
	if !u.written[name] {
		return u.root.RemoveAll(name)
	}
	info, err := u.root.Lstat(name)
	if err != nil || !info.IsDir() {
		return err
	}
	return u.hideLower(name)
}

// hideLower removes what lower layers have in a directory.
func (u *unpacker) hideLower(dir string) error {
	info, err := u.root.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return nil
	}
	if err != nil {
		return err
	}
	entries, err := clusterdir.ReadDir(u.root, dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := u.hide(path.Join(dir, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}
