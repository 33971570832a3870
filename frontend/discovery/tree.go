package discovery

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/imagespec"
)

// tree is the regular files that no source has taken yet, in lexical order of their directories.
type tree struct {
	files []string
	all   []string // with those that were taken
}

// walk lists a file system without what is ignored. What a symbolic link leads to is listed where it lies.
func walk(ctx context.Context, fsys fs.FS, ignore []string) (*tree, error) {
	for _, pattern := range ignore {
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, &OptionError{fmt.Errorf("ignoring %q: %w", pattern, err)}
		}
	}
	t := &tree{}
	ignored := func(name string) bool {
		return slices.ContainsFunc(ignore, func(pattern string) bool {
			matched, _ := path.Match(path.Clean(pattern), name) // the pattern is well-formed
			return matched
		})
	}
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("reading %s: %w", name, err)
		case ctx.Err() != nil:
			return ctx.Err()
		case entry.IsDir() && (ours(name) || ignored(name)):
			return fs.SkipDir
		case ignored(name):
		case entry.Type().IsRegular():
			t.files = append(t.files, name)
		}
		return nil
	})
	t.all = t.files
	return t, err
}

// ours reports whether the image format owns a directory: the store of embedded images and the runner.
func ours(name string) bool {
	return name == imagespec.RegistryDir || name == path.Dir(imagespec.RunnerPath)
}

// take removes the files that match, and returns them.
func (t *tree) take(match func(name string) bool) []string {
	var taken, left []string
	for _, name := range t.files {
		if match(name) {
			taken = append(taken, name)
		} else {
			left = append(left, name)
		}
	}
	t.files = left
	return taken
}

// dirs returns the outermost directories that have a file of the given name.
func (t *tree) dirs(has string) []string {
	var all, outermost []string
	for _, name := range t.files {
		if path.Base(name) == has {
			all = append(all, path.Dir(name))
		}
	}
	// What is around a directory has a shorter name.
	slices.SortStableFunc(all, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
	for _, dir := range all {
		if dir == "." || !inside(outermost, dir) {
			outermost = append(outermost, dir)
		}
	}
	return outermost
}

// takeDirs removes the directories that have a file of the given name, with all that is in them, and returns the outermost.
func (t *tree) takeDirs(has string) []string {
	outermost := t.dirs(has)
	t.take(func(name string) bool { return inside(outermost, name) })
	return outermost
}

// inside reports whether a file is in one of the directories.
func inside(dirs []string, name string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return dir == "." || strings.HasPrefix(name, dir+"/") })
}

// hasPartOfChart reports whether there are values or templates of a chart without the chart.
func (t *tree) hasPartOfChart() bool {
	charts := t.dirs("Chart.yaml")
	return slices.ContainsFunc(t.files, func(name string) bool {
		return !inside(charts, name) && (path.Base(name) == "values.yaml" || path.Base(path.Dir(name)) == "templates")
	})
}

// each calls read for the files until one fails or ctx ends.
func each(ctx context.Context, names []string, read func(name string) error) error {
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := read(name); err != nil {
			return err
		}
	}
	return nil
}
