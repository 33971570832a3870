package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
)

// maxFile bounds a file that is written by request, in bytes.
const maxFile = 16 << 20

type fileRequest struct {
	Dir  string      `json:"dir"`
	Path string      `json:"path"`
	Mode fs.FileMode `json:"mode"`
}

// writeFile makes a file have a content and mode. What was there is kept, what
// was made is journalled; a file that is right already is not touched.
func writeFile(r fileRequest, content io.Reader) (changed, error) {
	if !filepath.IsAbs(r.Path) || filepath.Clean(r.Path) != r.Path {
		return changed{}, fmt.Errorf("path %q: %w: it has to be absolute and clean", r.Path, ErrInvalid)
	}
	data, err := readBounded(content, r.Path, maxFile)
	if err != nil {
		return changed{}, err
	}
	j, err := openJournal(r.Dir)
	if err != nil {
		return changed{}, err
	}
	defer j.Close()
	if inside, ok := strings.CutPrefix(r.Path, r.Dir+"/"); ok {
		return writeInside(j.root, inside, r.Mode, data)
	}
	path, err := followLink(r.Path)
	if err != nil {
		return changed{}, err
	}
	if same(path, data, r.Mode) {
		return changed{}, nil
	}
	if err := j.prepare(path, digest.FromBytes(data)); err != nil {
		return changed{}, err
	}
	return changed{true}, putFile(path, bytes.NewReader(data), r.Mode, os.Geteuid(), os.Getegid())
}

// writeInside writes a file of the cluster's directory. A link that the rootfs has in its way is replaced or, when it leads out of
// the directory, refused: nothing of an image decides where we write.
func writeInside(root *os.Root, name string, mode fs.FileMode, data []byte) (changed, error) {
	info, err := root.Lstat(name)
	if err == nil && info.Mode().IsRegular() && info.Mode().Perm() == mode.Perm() && info.Size() == int64(len(data)) {
		old, err := readFile(root, name, maxFile)
		if err == nil && bytes.Equal(old, data) {
			return changed{}, nil
		}
	}
	if err == nil && info.IsDir() {
		return changed{}, fmt.Errorf("%s: %w: it is a directory", name, ErrInvalid)
	}
	return changed{true}, replace(root, name, data, mode.Perm(), true)
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
		return "", fmt.Errorf("%s: %w: not a regular file", path, ErrInvalid)
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

// putFile replaces a file at once and durably.
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
	_, err = io.Copy(f, content)
	if err = errors.Join(err, f.Chown(uid, gid), f.Chmod(mode.Perm()), f.Sync(), f.Close()); err != nil {
		return err
	}
	return publish(f.Name(), path)
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

type installRequest struct {
	Dir    string        `json:"dir"`
	Path   string        `json:"path"`
	Temp   string        `json:"temp"` // where the runner was put; empty: Path is right already
	Digest digest.Digest `json:"digest"`
}

type installAnswer struct {
	Protocol int  `json:"protocol"`
	Changed  bool `json:"changed"`
}

// install makes the cluster's directory and puts the runner that serves this
// very request in its place.
func install(r installRequest) (installAnswer, error) {
	answer := installAnswer{Protocol: protocol}
	j, err := openJournal(r.Dir)
	if err != nil {
		return answer, err
	}
	defer j.Close()
	if r.Temp == "" {
		return answer, nil
	}
	sum, err := digestOf(r.Temp)
	if err != nil {
		return answer, err
	}
	if sum != r.Digest {
		os.Remove(r.Temp)
		return answer, fmt.Errorf("the runner: %w: its digest is %s instead of %s", ErrDamaged, sum, r.Digest)
	}
	if err := j.prepare(r.Path, sum); err != nil {
		return answer, err
	}
	f, err := os.Open(r.Temp) // for writing would fail: it is running
	if err == nil {
		err = errors.Join(f.Chmod(0o755), f.Sync(), f.Close())
	}
	if err != nil {
		return answer, err
	}
	answer.Changed = true
	return answer, publish(r.Temp, r.Path)
}
