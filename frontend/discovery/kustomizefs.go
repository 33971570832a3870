package discovery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// rootfsDir is where kustomize sees the rootfs.
const rootfsDir = "/rootfs"

var errReadOnly = errors.New("the rootfs is only read")

// kustomizeFS shows the rootfs to kustomize, which would otherwise use the machine's files, run git and ask the network: what is not in
// the rootfs is left out of the kustomizations that it reads.
type kustomizeFS struct {
	ctx     context.Context // of the search, for kustomize hands none through
	c       *collector
	all     map[string]*kustomization
	dir     string            // to build
	read    map[string]bool   // files that were read, by their names in the rootfs
	refused error             // why a kustomization is not even shown
	whole   bool              // CRDs with their schemas
	made    map[string][]byte // files that replace what kustomize does not generate itself
}

func newKustomizeFS(ctx context.Context, c *collector, all map[string]*kustomization, dir string) *kustomizeFS {
	return &kustomizeFS{ctx: ctx, c: c, all: all, dir: dir, read: map[string]bool{}, made: map[string][]byte{}}
}

// place is something in a line of a file.
type place struct {
	file string
	reference
}

// absent returns what the kustomizations that were read lack.
func (f *kustomizeFS) absent() []place {
	var places []place
	for _, name := range slices.Sorted(maps.Keys(f.read)) {
		if one := f.all[path.Dir(name)]; one != nil && one.file == name {
			for _, r := range one.absent {
				places = append(places, place{name, r})
			}
		}
	}
	return places
}

// name returns the name in the rootfs of a path that kustomize has.
func (f *kustomizeFS) name(p string) (string, bool) {
	p = path.Clean("/" + filepath.ToSlash(p))
	if p == rootfsDir {
		return ".", true
	}
	return strings.CutPrefix(p, rootfsDir+"/")
}

// local finds a file or directory that an entry of a kustomization names.
func (c *collector) local(dir, entry string) (fs.FileInfo, error) {
	if strings.Contains(entry, "://") || strings.Contains(entry, "?ref=") || strings.HasPrefix(entry, "git@") {
		return nil, errNotInRootfs
	}
	return fs.Stat(c.fsys, within(dir, entry))
}

// ReadFile implements [filesys.FileSystem].
func (f *kustomizeFS) ReadFile(p string) ([]byte, error) {
	name, ok := f.name(p)
	if !ok {
		return nil, fs.ErrNotExist
	}
	if data, ok := f.made[name]; ok {
		return data, nil
	}
	info, err := fs.Stat(f.c.fsys, name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: more than the %d MiB that are searched in a file", name, maxFile>>20)
	}
	data, err := fs.ReadFile(f.c.fsys, name)
	if err != nil {
		return nil, err
	}
	f.read[name] = true
	if slices.Contains(kustomizationFiles, path.Base(name)) {
		one, err := f.kustomization(name)
		if err != nil {
			return nil, err
		}
		return f.localised(one)
	}
	if err := expandable(name, data); err != nil {
		return nil, err
	}
	if f.whole {
		return data, nil
	}
	return withoutSchemas(data), nil
}

var schemaKey = []byte("openAPIV3Schema:")

// withoutSchemas returns documents without the schemas of CRDs, which name no images and take nearly all of the time.
func withoutSchemas(data []byte) []byte {
	if !bytes.Contains(data, schemaKey) || !bytes.Contains(data, []byte("kind: CustomResourceDefinition")) {
		return data
	}
	var kept []byte
	dropped := -1 // indentation of the schema that is left out
	for line := range bytes.Lines(data) {
		text := bytes.TrimLeft(line, " ")
		indentation := len(line) - len(text)
		if dropped >= 0 && (indentation > dropped || len(bytes.TrimSpace(text)) == 0) {
			continue
		}
		if dropped = -1; bytes.HasPrefix(text, schemaKey) && len(bytes.TrimSpace(text)) == len(schemaKey) {
			dropped = indentation
			continue
		}
		kept = append(kept, line...)
	}
	return kept
}

// kustomization returns the content of a kustomization file, also of one that is not built, for example among tests.
func (f *kustomizeFS) kustomization(name string) (*kustomization, error) {
	dir := path.Dir(name)
	if one := f.all[dir]; one != nil && one.file == name {
		return one, nil
	}
	one, err := f.c.readKustomization(f.ctx, name)
	if err != nil {
		return nil, err
	}
	if one == nil {
		f.refused = fmt.Errorf("%s is not a kustomization", name)
		return nil, f.refused
	}
	f.all[dir] = one
	return one, nil
}

// expandable refuses documents whose aliases, which kustomize expands, make too much of them, and plugins that load from elsewhere.
func expandable(name string, data []byte) error {
	if bytes.Contains(data, []byte("apiVersion: builtin")) && bytes.Contains(data, []byte("://")) {
		return fmt.Errorf("%s: %w", name, errNotInRootfs)
	}
	if bytes.IndexByte(data, '*') < 0 || bytes.IndexByte(data, '&') < 0 {
		return nil
	}
	for _, d := range split(data) {
		roots, err := d.parse()
		if err != nil {
			continue // kustomize reports the reason if it is YAML
		}
		for _, root := range roots {
			if expanded(root, map[*yaml.Node]int{}, 0) > maxNodes {
				return fmt.Errorf("%s: %w", name, errSteps)
			}
		}
	}
	return nil
}

// expanded counts the nodes below n with all aliases expanded, up to more than maxNodes.
func expanded(n *yaml.Node, known map[*yaml.Node]int, depth int) int {
	if depth > maxDepth {
		return maxNodes + 1
	}
	if size, ok := known[n]; ok {
		return size
	}
	known[n] = maxNodes + 1 // an alias of what is around it
	size := 1
	if n.Kind == yaml.AliasNode {
		size += expanded(n.Alias, known, depth+1)
	}
	for _, child := range n.Content {
		if size += expanded(child, known, depth+1); size > maxNodes {
			return maxNodes + 1
		}
	}
	known[n] = size
	return size
}

// CleanedAbs implements [filesys.FileSystem].
func (f *kustomizeFS) CleanedAbs(p string) (filesys.ConfirmedDir, string, error) {
	p = path.Clean("/" + filepath.ToSlash(p))
	switch {
	case f.IsDir(p):
		return filesys.ConfirmedDir(p), "", nil
	case f.Exists(p):
		return filesys.ConfirmedDir(path.Dir(p)), path.Base(p), nil
	}
	return "", "", fmt.Errorf("%s: %w", p, fs.ErrNotExist)
}

// Exists implements [filesys.FileSystem].
func (f *kustomizeFS) Exists(p string) bool {
	if f.IsDir(p) {
		return true
	}
	name, ok := f.name(p)
	if !ok {
		return false
	}
	if f.made[name] != nil {
		return true
	}
	_, err := fs.Stat(f.c.fsys, name)
	return err == nil
}

// IsDir implements [filesys.FileSystem].
func (f *kustomizeFS) IsDir(p string) bool {
	if p = path.Clean("/" + filepath.ToSlash(p)); p == "/" {
		return true
	}
	name, ok := f.name(p)
	if !ok {
		return false
	}
	info, err := fs.Stat(f.c.fsys, name)
	return err == nil && info.IsDir()
}

// ReadDir implements [filesys.FileSystem].
func (f *kustomizeFS) ReadDir(p string) ([]string, error) {
	name, ok := f.name(p)
	if !ok {
		return nil, fs.ErrNotExist
	}
	entries, err := fs.ReadDir(f.c.fsys, name)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names, err
}

// Glob implements [filesys.FileSystem].
func (f *kustomizeFS) Glob(pattern string) ([]string, error) {
	name, ok := f.name(pattern)
	if !ok {
		return nil, nil
	}
	names, err := fs.Glob(f.c.fsys, name)
	for i := range names {
		names[i] = rootfsDir + "/" + names[i]
	}
	return names, err
}

// Walk implements [filesys.FileSystem].
func (f *kustomizeFS) Walk(p string, visit filepath.WalkFunc) error {
	name, ok := f.name(p)
	if !ok {
		return fs.ErrNotExist
	}
	return fs.WalkDir(f.c.fsys, name, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return visit(rootfsDir+"/"+name, nil, err)
		}
		info, err := entry.Info()
		return visit(rootfsDir+"/"+name, info, err)
	})
}

// Open implements [filesys.FileSystem].
func (f *kustomizeFS) Open(string) (filesys.File, error) { return nil, errReadOnly }

// Create implements [filesys.FileSystem].
func (f *kustomizeFS) Create(string) (filesys.File, error) { return nil, errReadOnly }

// Mkdir implements [filesys.FileSystem].
func (f *kustomizeFS) Mkdir(string) error { return errReadOnly }

// MkdirAll implements [filesys.FileSystem].
func (f *kustomizeFS) MkdirAll(string) error { return errReadOnly }

// RemoveAll implements [filesys.FileSystem].
func (f *kustomizeFS) RemoveAll(string) error { return errReadOnly }

// WriteFile implements [filesys.FileSystem].
func (f *kustomizeFS) WriteFile(string, []byte) error { return errReadOnly }
