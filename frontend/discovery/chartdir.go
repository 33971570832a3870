package discovery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"helm.sh/helm/v4/pkg/chart/loader/archive"
	"helm.sh/helm/v4/pkg/ignore"
)

func (c *collector) readChartDir(ctx context.Context, name string) (packedChart, error) {
	r := chartReader{fsys: c.fsys, root: name, budget: maxChart}
	if err := r.read(ctx); err != nil {
		if ctx.Err() != nil {
			return packedChart{}, ctx.Err()
		}
		c.problem(name, 0, true, "the chart cannot be read: %v", err)
		return packedChart{}, nil
	}
	prefix := ""
	if name != "." {
		prefix = name + "/"
	}
	return packedChart{name: name, prefix: prefix, files: r.files}, nil
}

const (
	// maxChart limits the total size of the files of a chart, in bytes, as Helm does for archives.
	maxChart = 100 << 20
	// maxChartFiles and maxChartDepth end a chart whose links run in a circle.
	maxChartFiles = 20_000
	maxChartDepth = 32
)

var (
	errChartSize  = fmt.Errorf("more than %d MiB", maxChart>>20)
	errChartFiles = fmt.Errorf("more than %d files, or %d directories deep", maxChartFiles, maxChartDepth)
	errIrregular  = errors.New("neither a file nor a directory")
)

// chartReader reads a chart's directory as Helm does: without what .helmignore names, and with what symbolic links lead to.
type chartReader struct {
	fsys   fs.FS
	root   string
	rules  *ignore.Rules
	budget int64
	files  []*archive.BufferedFile
}

func (r *chartReader) read(ctx context.Context) error {
	r.rules = ignore.Empty()
	data, err := fs.ReadFile(r.fsys, path.Join(r.root, ignore.HelmIgnore))
	if err == nil {
		r.rules, err = ignore.Parse(bytes.NewReader(data))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", ignore.HelmIgnore, err)
	}
	r.rules.AddDefaults()
	return r.dir(ctx, "", 0)
}

// dir reads a directory, given relative to the root.
func (r *chartReader) dir(ctx context.Context, dir string, depth int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := fs.ReadDir(r.fsys, path.Join(r.root, dir))
	if err != nil {
		return err
	}
	if depth > maxChartDepth || len(r.files)+len(entries) > maxChartFiles {
		return errChartFiles
	}
	for _, entry := range entries {
		name := path.Join(dir, entry.Name())
		info, err := fs.Stat(r.fsys, path.Join(r.root, name))
		if err != nil {
			return err
		}
		switch {
		case r.rules.Ignore(name, info):
		case info.IsDir():
			err = r.dir(ctx, name, depth+1)
		case info.Mode().IsRegular():
			err = r.file(name, info.Size())
		default:
			err = fmt.Errorf("%s: %w", name, errIrregular)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *chartReader) file(name string, size int64) error {
	if r.budget -= size; r.budget < 0 {
		return errChartSize
	}
	data, err := fs.ReadFile(r.fsys, path.Join(r.root, name))
	if err != nil {
		return err
	}
	r.files = append(r.files, &archive.BufferedFile{Name: name, Data: bytes.TrimPrefix(data, byteOrderMark)})
	return nil
}
