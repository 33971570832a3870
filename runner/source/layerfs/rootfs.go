package layerfs

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/kubefile/kubefile/imagespec"
)

// Limits on what a [Rootfs] keeps.
const (
	// MaxFileSize bounds one file, in bytes.
	MaxFileSize = 16 << 20
	// MaxFilesSize bounds all files of all layers together, in bytes.
	MaxFilesSize = 256 << 20

	// The kernel follows no more links in a path (path_resolution(7)).
	maxLinks = 40

	nodeSize = 160 // bytes of memory, about
)

// File is a regular file of the rootfs.
type File struct {
	Mode    fs.FileMode // permissions with set-user-ID, set-group-ID and sticky bit
	Content []byte
}

// Rootfs is a rootfs while layers are applied to it (OCI image-spec, layer.md): the names of
// all files, and the content of those that are wanted.
type Rootfs struct {
	root  node
	layer int // that is being applied
	want  func(name string) bool
	left  int64 // bytes that may still be kept
}

// NewRootfs returns an empty one. It keeps the content of the files that want says yes to, by their slash-separated path.
func NewRootfs(want func(name string) bool) *Rootfs { return &Rootfs{want: want, left: MaxFilesSize} }

// Next says that the entries of the next layer follow.
func (r *Rootfs) Next() { r.layer++ }

// Files returns the regular files that are wanted, by their path.
func (r *Rootfs) Files() map[string]File {
	found := make(map[string]File)
	r.root.collect("", found)
	return found
}

// node is a directory, a file or a symbolic link.
type node struct {
	children map[string]*node
	regular  bool
	file     *File // of a regular file that is wanted
	link     string
	layer    int // that made the file or link
}

// child returns what a directory has under a name, or nil.
func (n *node) child(base string) *node {
	if n == nil {
		return nil
	}
	return n.children[base]
}

func (n *node) collect(name string, found map[string]File) {
	if n.file != nil {
		found[name] = *n.file
	}
	for base, child := range n.children {
		child.collect(path.Join(name, base), found)
	}
}

// hide removes what layers below the given one have in a node, and says whether
// nothing is left of it.
func (n *node) hide(layer int) bool {
	for base, child := range n.children {
		if child.hide(layer) {
			delete(n.children, base)
		}
	}
	return len(n.children) == 0 && n.layer < layer
}

// Apply applies one entry of a layer.
func (r *Rootfs) Apply(header *tar.Header, name string, content io.Reader) error {
	if name == "." {
		return nil
	}
	hidden, ok, err := imagespec.ReadWhiteout(name)
	if err != nil {
		return err
	}
	if ok {
		if hidden.Path == "" {
			return nil
		}
		return r.hide(hidden.Path, !hidden.Opaque)
	}
	mode, err := EntryType(header)
	if err == nil {
		err = imagespec.CheckRootfs(name, mode)
	}
	if err != nil {
		return err
	}
	base := path.Base(name)
	parent, dir, err := r.parent(name)
	if err != nil {
		return err
	}
	if n := parent.child(base); n != nil && (n.children == nil || header.Typeflag != tar.TypeDir) {
		delete(parent.children, base) // something else takes its place
	}
	made, err := r.make(header, path.Join(dir, base), content)
	if err != nil || made == nil {
		return err
	}
	made.layer = r.layer
	return r.put(dir, base, made)
}

// hide removes what lower layers have below a path, and also what is there itself.
func (r *Rootfs) hide(name string, itself bool) error {
	if name == "." {
		r.root.hide(r.layer)
		return nil
	}
	parent, _, err := r.parent(name)
	if err != nil {
		return err
	}
	if n := parent.child(path.Base(name)); n != nil && n.hide(r.layer) && itself {
		delete(parent.children, path.Base(name))
	}
	return nil
}

// EntryType is the type of an entry, for the rules of imagespec. A hard link is an irregular file.
func EntryType(header *tar.Header) (fs.FileMode, error) {
	switch header.Typeflag {
	case tar.TypeReg:
		return 0, nil
	case tar.TypeLink:
		return fs.ModeIrregular, nil
	case tar.TypeDir:
		return fs.ModeDir, nil
	case tar.TypeSymlink:
		return fs.ModeSymlink, nil
	case tar.TypeChar, tar.TypeBlock:
		return fs.ModeDevice, nil
	case tar.TypeFifo:
		return fs.ModeNamedPipe, nil
	}
	return 0, fmt.Errorf("%w: an entry of the type %q", imagespec.ErrInvalid, header.Typeflag)
}

// make returns what to keep of an entry, if anything.
func (r *Rootfs) make(header *tar.Header, name string, content io.Reader) (*node, error) {
	switch header.Typeflag {
	case tar.TypeReg:
		if !r.want(name) {
			return &node{regular: true}, nil
		}
		if header.Size > MaxFileSize {
			return nil, fmt.Errorf("file is too large: %d bytes (at most %d MiB)", header.Size, MaxFileSize>>20)
		}
		if err := r.keep(header.Size); err != nil {
			return nil, err
		}
		data := make([]byte, header.Size)
		if _, err := io.ReadFull(content, data); err != nil {
			return nil, err
		}
		mode := header.FileInfo().Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
		return &node{regular: true, file: &File{Mode: mode, Content: data}}, nil
	case tar.TypeSymlink:
		if err := imagespec.CheckLink(header.Linkname); err != nil {
			return nil, err
		}
		return &node{link: header.Linkname}, nil
	case tar.TypeLink:
		return r.hardLink(header.Linkname, name)
	}
	return nil, nil
}

// hardLink is what a hard link leads to. Files that are not wanted were not kept.
func (r *Rootfs) hardLink(to, name string) (*node, error) {
	target, err := imagespec.SafePath(to)
	if err != nil {
		return nil, err
	}
	parent, _, err := r.parent(target)
	if err != nil {
		return nil, err
	}
	n := parent.child(path.Base(target))
	switch {
	case n == nil || n.link == "" && !n.regular:
		return nil, fmt.Errorf("%w: it is a hard link to %s, which is not a file of the layers up to here", imagespec.ErrInvalid, target)
	case n.link != "":
		return &node{link: n.link}, nil
	case r.want(name) && n.file == nil:
		return nil, fmt.Errorf("it is a hard link to %s, which is not read: make it a file of its own", target)
	case !r.want(name):
		return &node{regular: true}, nil
	}
	return &node{regular: true, file: n.file}, nil
}

// parent finds the directory that name is in: the real one, to which symbolic links
// lead. The node is nil if nothing is kept below it.
func (r *Rootfs) parent(name string) (*node, string, error) {
	nodes, real := []*node{&r.root}, []string(nil)
	parts := strings.Split(path.Dir(name), "/")
	for links := 0; len(parts) > 0; {
		part := parts[0]
		parts = parts[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if len(real) == 0 {
				return nil, "", fmt.Errorf("%w: a symbolic link on its way leaves the root", imagespec.ErrInvalid)
			}
			nodes, real = nodes[:len(real)], real[:len(real)-1]
			continue
		}
		n := nodes[len(real)].child(part)
		if n != nil && n.link != "" {
			if links++; links > maxLinks || path.IsAbs(n.link) {
				return nil, "", fmt.Errorf("%w: a symbolic link on its way leaves the root or leads nowhere", imagespec.ErrInvalid)
			}
			parts = append(strings.Split(n.link, "/"), parts...)
			continue
		}
		if n != nil && n.regular {
			return nil, "", fmt.Errorf("%w: %s is a file, not a directory", imagespec.ErrInvalid, path.Join(path.Join(real...), part))
		}
		nodes, real = append(nodes, n), append(real, part)
	}
	return nodes[len(real)], path.Join(real...), nil
}

// put keeps a node in a real directory.
func (r *Rootfs) put(dir, base string, made *node) error {
	at := &r.root
	for part := range strings.SplitSeq(dir, "/") {
		if part == "" {
			continue
		}
		if at.children[part] == nil {
			if err := r.add(at, part, new(node)); err != nil {
				return err
			}
		}
		at = at.children[part]
	}
	return r.add(at, base, made)
}

func (r *Rootfs) add(at *node, base string, made *node) error {
	if at.children == nil {
		at.children = make(map[string]*node)
	}
	at.children[base] = made
	return r.keep(int64(len(base)+len(made.link)) + nodeSize)
}

// keep takes bytes from the limit.
func (r *Rootfs) keep(size int64) error {
	if r.left -= size; r.left < 0 {
		return fmt.Errorf("the files that are read have more than %d MiB in all", MaxFilesSize>>20)
	}
	return nil
}
