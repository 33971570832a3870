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

// isArchive reports whether a name is that of a packed chart.
func isArchive(name string) bool {
	return path.Ext(name) == ".tgz"
}

// readChartArchive reads a packed chart. It ignores archives that are not charts, such as releases of binaries.
func (c *collector) readChartArchive(ctx context.Context, name string) (packed packedChart, err error) {
	file, err := c.fsys.Open(name)
	if err != nil {
		return packed, fmt.Errorf("reading %s: %w", name, err)
	}
	top, err := chartIn(ctx, file)
	file.Close()
	if ctx.Err() != nil {
		return packed, ctx.Err()
	}
	if err != nil {
		c.problem(name, 0, false, "not searched, because it cannot be unpacked: %v", err)
		return packed, nil
	}
	if top == "" {
		return packed, nil
	}
	if file, err = c.fsys.Open(name); err != nil {
		return packed, fmt.Errorf("reading %s: %w", name, err)
	}
	defer file.Close()
	files, err := archive.LoadArchiveFiles(file)
	if err != nil {
		c.problem(name, 0, true, "the chart cannot be unpacked: %v", err)
		return packed, nil
	}
	return packedChart{name: name, prefix: name + "!" + top + "/", files: files}, nil
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
