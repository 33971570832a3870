package step

import (
	"archive/tar"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"

	"github.com/kubefile/kubefile/imagespec/hostiletest"
)

// TestABuildRefusesWhatEveryReaderDoes, as far as a step of a build can make it.
func TestABuildRefusesWhatEveryReaderDoes(t *testing.T) {
	types := map[byte]fs.FileMode{
		tar.TypeDir: fs.ModeDir, tar.TypeSymlink: fs.ModeSymlink, tar.TypeFifo: fs.ModeNamedPipe,
		tar.TypeChar: fs.ModeDevice | fs.ModeCharDevice, tar.TypeBlock: fs.ModeDevice,
	}
	cases := hostiletest.Rootfs()
	maps.Copy(cases, hostiletest.OnDiskOnly())
	for name, c := range cases {
		if !c.OnDisk {
			continue
		}
		t.Run(name, func(t *testing.T) {
			fsys := fstest.MapFS{}
			for _, f := range c.Files {
				fsys[f.Name] = &fstest.MapFile{Mode: types[f.Type] | 0o644, Data: []byte(f.Content + f.Link)}
			}
			found, err := refused(t.Context(), fsys)
			if err != nil || len(found) != 1 || found[0].Path != c.Path() || found[0].Why == "" {
				t.Errorf("got %+v, %v, want %s", found, err, c.Path())
			}
		})
	}
}

func TestScanReportsWhatHostsRefuse(t *testing.T) {
	in := t.TempDir()
	if err := unix.Mkfifo(filepath.Join(in, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("unix", filepath.Join(in, "socket")) // which no layer will have
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	for name, mode := range map[string]fs.FileMode{"run": 0o755 | fs.ModeSetuid, "odd\nname": 0o644, ".whatever": 0o644} {
		if err := os.WriteFile(filepath.Join(in, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(in, ".kubefile/toolbox"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nowhere", filepath.Join(in, "link")); err != nil {
		t.Fatal(err)
	}
	request := filepath.Join(t.TempDir(), "request.json")
	if err := os.WriteFile(request, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := scan(t, request, in).Refused; len(got) != 1 || got[0].Path != "pipe" {
		t.Errorf("got %+v, want the pipe", got)
	}
}
