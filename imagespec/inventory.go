package imagespec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxKept bounds the manifests of all image layers, in bytes: what an [Inventory] has in memory.
const maxKept = 128 << 20

// Inventory is what image layers hold, taken in as they are read, so that the store can be checked without one on a disk. Of blobs only
// manifests and indexes are kept.
type Inventory struct {
	files map[string]storedFile // by path relative to RegistryDir
	kept  int64
}

type storedFile struct {
	size int64
	data []byte // nil: not kept
}

// NewInventory returns an empty inventory.
func NewInventory() *Inventory { return &Inventory{files: map[string]storedFile{}} }

// Add takes in one entry of an image layer. The layers have to be read in their order. It returns an [ErrInvalid] for what no image layer
// may have: an entry of another kind, a blob of other bytes than its name says, a reference that is not one.
func (v *Inventory) Add(name string, mode fs.FileMode, size int64, content io.Reader) error {
	file, err := ReadStoreFile(name, mode)
	switch {
	case err != nil:
		return err
	case file.Path == "":
		return nil
	case file.Blob != "":
		return v.addBlob(file, size, content)
	}
	data, err := readLimited(content, maxRefSize)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if file.Ref != "" {
		if _, err := ReadRef(file.Path, bytes.NewReader(data)); err != nil {
			return err
		}
	}
	return v.keep(file.Path, data)
}

// Announce takes in a blob by its size alone, for one whose bytes are checked later.
func (v *Inventory) Announce(file StoreFile, size int64) {
	v.files[file.Path] = storedFile{size: size}
}

func (v *Inventory) addBlob(file StoreFile, size int64, content io.Reader) error {
	verifier := file.Blob.Verifier()
	content = io.TeeReader(content, verifier)
	var data []byte
	if size <= MaxManifestSize {
		var err error
		if data, err = readLimited(content, MaxManifestSize); err != nil {
			return fmt.Errorf("%s: %w", file.Path, err)
		}
	} else if _, err := io.Copy(io.Discard, content); err != nil {
		return fmt.Errorf("%s: %w", file.Path, err)
	}
	if !verifier.Verified() {
		return fmt.Errorf("%s: %w: its bytes are damaged", file.Path, ErrInvalid)
	}
	if !leadsOn(data) {
		v.files[file.Path] = storedFile{size: size}
		return nil
	}
	return v.keep(file.Path, data)
}

// leadsOn reports whether a blob may be a manifest or an index.
func leadsOn(blob []byte) bool {
	if !bytes.HasPrefix(bytes.TrimLeft(blob, " \t\r\n"), []byte("{")) {
		return false
	}
	var members struct {
		Manifests json.RawMessage `json:"manifests"`
		Layers    json.RawMessage `json:"layers"`
		MediaType json.RawMessage `json:"mediaType"`
		Config    struct {
			Digest json.RawMessage `json:"digest"`
		} `json:"config"`
	}
	err := json.Unmarshal(blob, &members)
	return err != nil || members.Manifests != nil || members.Layers != nil || members.MediaType != nil || members.Config.Digest != nil
}

func (v *Inventory) keep(name string, data []byte) error {
	if v.kept += int64(len(data)) - int64(len(v.files[name].data)); v.kept > maxKept {
		return fmt.Errorf("%w: more than %d bytes of manifests", ErrInvalid, maxKept)
	}
	v.files[name] = storedFile{size: int64(len(data)), data: data}
	return nil
}

// Check checks the store that the layers add up to, as [Store.Check] does, against the lock, and that every image of the lock is there for
// the platform. Its error names the first problems.
func (v *Inventory) Check(ctx context.Context, lock *Lock, platform ocispec.Platform) error {
	found, err := v.Problems(ctx, lock, platform)
	if err != nil {
		return err
	}
	return firstOf(found)
}

// Problems returns everything that [Inventory.Check] finds. The error is why the store could not be checked to the end.
func (v *Inventory) Problems(ctx context.Context, lock *Lock, platform ocispec.Platform) ([]error, error) {
	found, err := NewStore(v.tree()).problems(ctx, lock)
	if err != nil {
		return found, err
	}
	for _, image := range lock.Images {
		if !slices.ContainsFunc(image.Platforms, func(p LockedPlatform) bool { return fits(p.Platform, platform) }) {
			found = append(found, fmt.Errorf("%s: %w: the lock does not list it for %s", image.Reference, ErrInvalid, FormatPlatform(platform)))
		}
	}
	return found, nil
}

// Unreferenced returns the blobs that no reference of the store leads to, sorted. [Inventory.Problems] has found that the store is complete.
func (v *Inventory) Unreferenced() ([]digest.Digest, error) {
	store, used := NewStore(v.tree()), map[digest.Digest]bool{}
	references, err := store.References()
	if err != nil {
		return nil, err
	}
	for _, root := range references {
		err := store.walk(root, func(d ocispec.Descriptor, below content) error {
			used[d.Digest] = true
			for _, blob := range below.blobs {
				used[blob.Digest] = true
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	var unused []digest.Digest
	for name := range v.files {
		if blob, err := blobFromPath(name); err == nil && !used[blob] {
			unused = append(unused, blob)
		}
	}
	slices.Sort(unused)
	return unused, nil
}

// fits compares os and architecture. A variant does not count: hosts of one run images for lower ones, too.
func fits(name string, platform ocispec.Platform) bool {
	want := platform.OS + "/" + platform.Architecture
	return name == want || strings.HasPrefix(name, want+"/")
}

// tree is the inventory as a file system.
func (v *Inventory) tree() fs.FS {
	t := storeTree{files: v.files, dirs: map[string][]fs.DirEntry{".": nil}}
	for name, file := range v.files {
		var entry fs.FileInfo = storedInfo{name: path.Base(name), size: file.size}
		for dir := path.Dir(name); ; dir = path.Dir(dir) {
			_, known := t.dirs[dir]
			t.dirs[dir] = append(t.dirs[dir], fs.FileInfoToDirEntry(entry))
			if known {
				break
			}
			entry = storedInfo{name: path.Base(dir), dir: true}
		}
	}
	for _, entries := range t.dirs {
		slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	}
	return t
}

// storeTree has the files of a store in memory.
type storeTree struct {
	files map[string]storedFile
	dirs  map[string][]fs.DirEntry
}

func (t storeTree) Open(name string) (fs.File, error) {
	if file, ok := t.files[name]; ok {
		return &openedFile{info: storedInfo{name: path.Base(name), size: file.size}, data: bytes.NewReader(file.data), whole: int64(len(file.data)) == file.size}, nil
	}
	if _, ok := t.dirs[name]; ok {
		return &openedFile{info: storedInfo{name: path.Base(name), dir: true}, data: bytes.NewReader(nil)}, nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// ReadDir makes it an [fs.ReadDirFS].
func (t storeTree) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, ok := t.dirs[name]
	if !ok {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	return entries, nil
}

type openedFile struct {
	info  storedInfo
	data  *bytes.Reader
	whole bool
}

var errNotKept = errors.New("a blob that is not a manifest")

func (f *openedFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openedFile) Close() error               { return nil }

func (f *openedFile) Read(p []byte) (int, error) {
	if !f.whole {
		return 0, fmt.Errorf("%s: %w: %w", f.info.name, ErrInvalid, errNotKept)
	}
	return f.data.Read(p)
}

// storedInfo is an [fs.FileInfo].
type storedInfo struct {
	name string
	size int64
	dir  bool
}

func (i storedInfo) Name() string     { return i.name }
func (i storedInfo) Size() int64      { return i.size }
func (storedInfo) ModTime() time.Time { return time.Time{} }
func (i storedInfo) IsDir() bool      { return i.dir }
func (storedInfo) Sys() any           { return nil }

func (i storedInfo) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o755
	}
	return 0o644
}
