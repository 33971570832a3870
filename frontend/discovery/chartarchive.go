package discovery

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"helm.sh/helm/v4/pkg/chart/loader/archive"
)

func readChartArchives(ctx context.Context, c *collector, t *tree) error {
	names := t.take(func(name string) bool { return path.Ext(name) == ".tgz" })
	return each(ctx, names, func(name string) error { return c.readChartArchive(ctx, name) })
}

// readChartArchive reads a packed chart. A .tgz that is no chart, such as a release of binaries, is left alone.
func (c *collector) readChartArchive(ctx context.Context, name string) error {
	file, err := c.fsys.Open(name)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	top, err := chartIn(ctx, file)
	file.Close()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		c.problem(name, 0, false, "not searched, for it cannot be unpacked: %v", err)
		return nil
	}
	if top == "" {
		return nil
	}
	if file, err = c.fsys.Open(name); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	defer file.Close()
	files, err := archive.LoadArchiveFiles(file)
	if err != nil {
		c.problem(name, 0, true, "the chart cannot be unpacked: %v", err)
		return nil
	}
	mend := func(value string) string { return fmt.Sprintf("unpack it and set %s in its values.yaml", value) }
	return c.readChart(ctx, location{name: name, prefix: name + "!" + top + "/", mend: mend}, files)
}

// chartIn returns the directory in an archive that has a Chart.yaml, or nothing if it is no chart as Helm
// packs one: a directory with everything in it.
func chartIn(ctx context.Context, r io.Reader) (string, error) {
	unzipped, err := gzip.NewReader(r)
	if err != nil {
		return "", err
	}
	defer unzipped.Close()
	unpacked := tar.NewReader(io.LimitReader(unzipped, maxChart))
	for range maxChartFiles {
		header, err := unpacked.Next()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && ctx.Err() == nil {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		if err := ctx.Err(); err != nil {
			return "", err
		}
		top, inside, _ := strings.Cut(header.Name, "/")
		if top == "." || inside == "" && header.Typeflag == tar.TypeReg {
			return "", nil
		}
		if inside == "Chart.yaml" {
			return top, nil
		}
	}
	return "", nil
}
