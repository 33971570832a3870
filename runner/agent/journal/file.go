package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/kubefile/kubefile/runner/agent/clusterdir"
	"github.com/kubefile/kubefile/runner/agent/wire"
)

// maxFile bounds a file that is written by request, in bytes.
const maxFile = 16 << 20

// WriteFile makes a file have a content and mode. What was there is kept, what
// was made is journalled; a file that is right already is not touched.
func WriteFile(r wire.FileRequest, content io.Reader) (wire.Changed, error) {
	if err := checkPath(r.Path); err != nil {
		return wire.Changed{}, err
	}
	data, err := clusterdir.ReadBounded(content, r.Path, maxFile)
	if err != nil {
		return wire.Changed{}, err
	}
	j, err := openJournal(r.Dir)
	if err != nil {
		return wire.Changed{}, err
	}
	defer j.Close()
	if inside, ok := strings.CutPrefix(r.Path, r.Dir+"/"); ok {
		return writeInside(j.root, inside, r.Mode, data)
	}
	path, err := followLink(r.Path)
	if err != nil {
		return wire.Changed{}, err
	}
	if same(path, data, r.Mode) {
		return wire.Changed{}, nil
	}
	if err := j.prepare(path, digest.FromBytes(data), r.Mode); err != nil {
		return wire.Changed{}, err
	}
	if r.Kubeconfig {
		if err := j.prepareKubeconfig(path, data); err != nil {
			return wire.Changed{}, err
		}
	}
	return wire.Changed{Changed: true}, putFile(path, bytes.NewReader(data), r.Mode, os.Geteuid(), os.Getegid())
}

func checkPath(path string) error {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return fmt.Errorf("path %q: %w: it has to be absolute and clean", path, wire.ErrInvalid)
	}
	return nil
}

// writeInside writes a file of the cluster's directory. A link that the rootfs has in its way is replaced or, when it leads out of
// the directory, refused: nothing of an image decides where we write.
func writeInside(root *os.Root, name string, mode fs.FileMode, data []byte) (wire.Changed, error) {
	info, err := root.Lstat(name)
	if err == nil && info.Mode().IsRegular() && info.Mode().Perm() == mode.Perm() && info.Size() == int64(len(data)) {
		old, err := clusterdir.ReadFile(root, name, maxFile)
		if err == nil && bytes.Equal(old, data) {
			return wire.Changed{}, nil
		}
	}
	if err == nil && info.IsDir() {
		return wire.Changed{}, fmt.Errorf("%s: %w: it is a directory", name, wire.ErrInvalid)
	}
	return wire.Changed{Changed: true}, clusterdir.Replace(root, name, data, mode.Perm(), true)
}

// followLink follows a symbolic link that is there already, such as
// /etc/resolv.conf: it is the file that is meant, not the link.
func followLink(path string) (string, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}
	if err != nil {
		return "", err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return "", err
		}
		info, err = os.Lstat(path)
		if err != nil {
			return "", err
		}
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s: %w: not a regular file", path, wire.ErrInvalid)
	}
	return path, nil
}

func same(path string, data []byte, mode fs.FileMode) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Mode().Perm() != mode.Perm() || info.Size() != int64(len(data)) {
		return false
	}
	old, err := io.ReadAll(io.LimitReader(f, maxFile))
	return err == nil && bytes.Equal(old, data)
}

// putFile replaces a file at once and durably, with the extended attributes that it has. An owner of -1 is the file's own.
func putFile(path string, content io.Reader, mode fs.FileMode, uid, gid int) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if info, statErr := os.Stat(path); statErr == nil {
		if uid < 0 {
			uid, gid = ownerOf(info)
		}
		copyAttributes(path, f.Name())
	}
	_, err = io.Copy(f, content)
	if err = errors.Join(err, f.Chown(uid, gid), f.Chmod(mode&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = publish(f.Name(), path); errors.Is(err, unix.EBUSY) {
		err = overwrite(f.Name(), path) // the file is a mount of its own, as in containers
	}
	return err
}

// copyAttributes copies extended attributes, such as the SELinux context, as far as the file systems let us.
func copyAttributes(from, to string) {
	names := make([]byte, 64<<10)
	n, err := unix.Listxattr(from, names)
	if err != nil {
		return
	}
	value := make([]byte, 64<<10)
	for _, name := range strings.Split(strings.TrimRight(string(names[:n]), "\x00"), "\x00") {
		if size, err := unix.Getxattr(from, name, value); err == nil && name != "" {
			unix.Setxattr(to, name, value[:size], 0) // where it is not possible, the file is as any new one
		}
	}
}

// overwrite gives a file the content of another, which it removes.
func overwrite(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(from))
}

// publish moves a synced file to its name, durably.
func publish(temp, path string) error {
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// maxAside bounds how many copies of one file are kept next to it.
const maxAside = 1000

// asideName returns an unused name next to a file, for its content from before the cluster.
func asideName(path string) (string, error) {
	name := path + ".before-kubefile"
	for i := 2; i <= maxAside; i++ {
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return name, nil
		} else if err != nil {
			return "", err
		}
		name = fmt.Sprintf("%s.before-kubefile-%d", path, i)
	}
	return "", fmt.Errorf("%s: %w: %d copies of it are kept already; remove those that are not needed", path, wire.ErrInvalid, maxAside)
}

// copyAside copies a file, with its mode and owner, to a name next to it.
func copyAside(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	name, err := asideName(path)
	if err != nil {
		return "", err
	}
	uid, gid := ownerOf(info)
	return name, putFile(name, f, info.Mode(), uid, gid)
}

func ownerOf(info fs.FileInfo) (uid, gid int) {
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(owner.Uid), int(owner.Gid)
	}
	return os.Geteuid(), os.Getegid()
}
