package gatewaytest

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/frontend/gateway/client"
)

// Export returns the images of a result by platform, as the image exporter would write them.
func (g *Gateway) Export(tb testing.TB, res *client.Result) map[string]Image {
	tb.Helper()
	var platforms exptypes.Platforms
	if err := json.Unmarshal(res.Metadata[exptypes.ExporterPlatformsKey], &platforms); err != nil {
		tb.Fatalf("the result lists no platforms: %v", err)
	}
	images := map[string]Image{}
	for _, p := range platforms.Platforms {
		ref, config := res.Refs[p.ID], res.Metadata[exptypes.ExporterImageConfigKey+"/"+p.ID]
		if len(res.Refs) == 0 {
			ref, config = res.Ref, res.Metadata[exptypes.ExporterImageConfigKey]
		}
		image, err := g.export(tb.Context(), ref, config)
		if err != nil {
			tb.Fatalf("exporting %s: %v", p.ID, err)
		}
		images[p.ID] = *image
	}
	return images
}

// ExportOne returns the image of a result for one platform.
func (g *Gateway) ExportOne(tb testing.TB, res *client.Result) Image {
	tb.Helper()
	images := g.Export(tb, res)
	if len(images) != 1 {
		tb.Fatalf("got images for %v, want one platform", slices.Sorted(maps.Keys(images)))
	}
	for _, image := range images {
		return image
	}
	return Image{}
}

func (g *Gateway) export(ctx context.Context, ref client.Reference, config []byte) (*Image, error) {
	image := &Image{}
	if err := json.Unmarshal(config, &image.Config); err != nil {
		return nil, fmt.Errorf("reading the image config: %w", err)
	}
	own, ok := ref.(*result)
	if !ok {
		return nil, errors.New("the result is not a reference of this gateway")
	}
	f, err := own.filesystem(ctx)
	if err != nil {
		return nil, err
	}
	for _, l := range f.layers {
		content, err := read(ctx, l)
		if err != nil {
			return nil, err
		}
		image.Layers = append(image.Layers, content)
	}
	image.Config.RootFS = image.rootFS()
	return image, nil
}

func read(ctx context.Context, l layer) ([]byte, error) {
	r, err := l.tar(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// Unpack returns a directory with the files of an image.
func (i Image) Unpack(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	for _, content := range i.Layers {
		if err := extract(tb.Context(), dir, bytes.NewReader(content)); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// Layer makes a layer of files by name. A name with a slash at its end is a directory.
func Layer(tb testing.TB, files map[string]string) []byte {
	tb.Helper()
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		header := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(files[name]))}
		if strings.HasSuffix(name, "/") {
			header.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(header); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.WriteString(w, files[name]); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return buffer.Bytes()
}
