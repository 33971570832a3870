package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestLayerIsTheSameForTheSameEntries(t *testing.T) {
	for compression, mediaType := range map[Compression]string{Gzip: ocispec.MediaTypeImageLayerGzip, Zstd: ocispec.MediaTypeImageLayerZstd} {
		t.Run(string(compression), func(t *testing.T) { sameLayer(t, compression, mediaType) })
	}
}

func sameLayer(t *testing.T, compression Compression, mediaType string) {
	source := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(source, []byte("from a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	entries := []Entry{
		{Path: "usr/bin/tool", Mode: 0o755, Source: source},
		{Path: "usr/bin/link", Link: "tool"},
		{Path: "tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
		{Path: "etc/empty", Mode: 0o644},
	}
	var one, two bytes.Buffer
	layer, err := WriteLayer(&one, compression, entries)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(entries)
	if _, err := WriteLayer(&two, compression, entries); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("the order of the entries changes the layer")
	}
	if layer.Descriptor.Digest != digest.FromBytes(one.Bytes()) || layer.Descriptor.Size != int64(one.Len()) {
		t.Errorf("descriptor %+v is not of the bytes written", layer.Descriptor)
	}
	if layer.Descriptor.MediaType != mediaType {
		t.Errorf("media type: got %s, want %s", layer.Descriptor.MediaType, mediaType)
	}
	tarred, got := list(t, compression, one.Bytes())
	if layer.DiffID != digest.FromBytes(tarred) {
		t.Errorf("diff ID %s is not of the tar", layer.DiffID)
	}
	want := []string{
		"etc/ drwxr-xr-x", "etc/empty -rw-r--r--",
		"tmp/ dtrwxrwxrwx",
		"usr/ drwxr-xr-x", "usr/bin/ drwxr-xr-x", "usr/bin/link Lrwxrwxrwx tool", "usr/bin/tool -rwxr-xr-x from a file",
	}
	if !slices.Equal(got, want) {
		t.Errorf("entries\n%q, want\n%q", got, want)
	}
}

// list returns the uncompressed tar and a line for every entry.
func list(t *testing.T, compression Compression, layer []byte) (tarred []byte, lines []string) {
	t.Helper()
	tarred, err := uncompressed(compression, layer)
	if err != nil {
		t.Fatal(err)
	}
	for tr := tar.NewReader(bytes.NewReader(tarred)); ; {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return tarred, lines
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Uid != 0 || header.Gid != 0 || header.ModTime.Unix() != 0 {
			t.Errorf("%s belongs to %d:%d and is of %v", header.Name, header.Uid, header.Gid, header.ModTime)
		}
		content, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		line := header.Name + " " + header.FileInfo().Mode().String()
		if rest := header.Linkname + string(content); rest != "" {
			line += " " + rest
		}
		lines = append(lines, line)
	}
}

func uncompressed(compression Compression, layer []byte) ([]byte, error) {
	if compression == Zstd {
		zr, err := zstd.NewReader(nil)
		if err != nil {
			return nil, err
		}
		defer zr.Close()
		return zr.DecodeAll(layer, nil)
	}
	zr, err := gzip.NewReader(bytes.NewReader(layer))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(zr)
}

func TestUnknownCompressionIsRefused(t *testing.T) {
	if _, err := WriteLayer(io.Discard, "brotli", nil); err == nil {
		t.Error("no error")
	}
}

func TestBadEntriesAreRefused(t *testing.T) {
	for name, entries := range map[string][]Entry{
		"absolute":     {{Path: "/etc/passwd"}},
		"upwards":      {{Path: "../etc/passwd"}},
		"root":         {{Path: "."}},
		"twice":        {{Path: "a"}, {Path: "a"}},
		"missing file": {{Path: "a", Source: filepath.Join(t.TempDir(), "none")}},
		"directory":    {{Path: "a", Source: t.TempDir()}},
	} {
		if _, err := WriteLayer(io.Discard, Gzip, entries); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
