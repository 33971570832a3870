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
	"github.com/opencontainers/go-digest"
)

func TestLayerIsTheSameForTheSameEntries(t *testing.T) {
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
	layer, err := WriteLayer(&one, entries)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(entries)
	if _, err := WriteLayer(&two, entries); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("the order of the entries changes the layer")
	}
	if layer.Descriptor.Digest != digest.FromBytes(one.Bytes()) || layer.Descriptor.Size != int64(one.Len()) {
		t.Errorf("descriptor %+v is not of the bytes written", layer.Descriptor)
	}
	tarred, got := list(t, one.Bytes())
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
func list(t *testing.T, layer []byte) (tarred []byte, lines []string) {
	t.Helper()
	zr, err := gzip.NewReader(bytes.NewReader(layer))
	if err != nil {
		t.Fatal(err)
	}
	if tarred, err = io.ReadAll(zr); err != nil {
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

func TestBadEntriesAreRefused(t *testing.T) {
	for name, entries := range map[string][]Entry{
		"absolute":     {{Path: "/etc/passwd"}},
		"upwards":      {{Path: "../etc/passwd"}},
		"root":         {{Path: "."}},
		"twice":        {{Path: "a"}, {Path: "a"}},
		"missing file": {{Path: "a", Source: filepath.Join(t.TempDir(), "none")}},
		"directory":    {{Path: "a", Source: t.TempDir()}},
	} {
		if _, err := WriteLayer(io.Discard, entries); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
