package step

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/kubefile/kubefile/imagespec"
)

func TestList(t *testing.T) {
	in := t.TempDir()
	for _, dir := range []string{"etc/conf.d", "registry/blobs/sha256", "registry/other"} {
		if err := os.MkdirAll(filepath.Join(in, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"etc/file", "etc/\xff", "registry/blobs/sha256/x", "registry/oci-layout"} {
		if err := os.WriteFile(filepath.Join(in, name), []byte("content"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for dir, mode := range map[string]os.FileMode{"etc": 0o755, "etc/conf.d": 0o700 | os.ModeSetgid, "registry": 0o755, "registry/other": 0o755} {
		if err := os.Chmod(filepath.Join(in, dir), mode); err != nil { // whatever the umask is
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/conf.d", filepath.Join(in, "etc/link")); err != nil {
		t.Fatal(err)
	}
	want := []string{
		".kubefile/ 755 ", ".kubefile/sealer-run 0 ", "etc/ 755 ", "etc/conf.d/ 2700 ", "etc/file 0 ", "etc/link 777 /etc/conf.d", "etc/\xff 0 ",
		"registry/ 755 ", "registry/images.lock.json 0 ", "registry/other/ 755 ",
	}
	if got := listed(t, in); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestListOfTooManyFiles: a rootfs that does not fit has no list, and is built all the same.
func TestListOfTooManyFiles(t *testing.T) {
	in := t.TempDir()
	for i := range imagespec.MaxTreeEntries + 1 {
		if err := os.Symlink("x", filepath.Join(in, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if got := listed(t, in); got != nil {
		t.Errorf("%d files are listed", len(got))
	}
}

func listed(t *testing.T, in string) (list []string) {
	t.Helper()
	out := t.TempDir()
	if err := List(t.Context(), in, out); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(out, Listed))
	if err != nil {
		t.Fatal(err)
	}
	if len(data) == 0 {
		return nil
	}
	compressed, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(compressed); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%s %o %s", h.Name, h.Mode, h.Linkname))
	}
}
