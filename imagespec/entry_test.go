package imagespec_test

import (
	"archive/tar"
	"errors"
	"io/fs"
	"maps"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/imagespec/hostiletest"
)

func TestRootfs(t *testing.T) {
	types := map[byte]fs.FileMode{tar.TypeDir: fs.ModeDir, tar.TypeSymlink: fs.ModeSymlink, tar.TypeFifo: fs.ModeNamedPipe, tar.TypeChar: fs.ModeDevice, tar.TypeBlock: fs.ModeDevice}
	cases := hostiletest.Rootfs()
	maps.Copy(cases, hostiletest.OnDiskOnly())
	for name, c := range cases {
		if !c.OnDisk {
			continue // it takes more than one entry, or its name alone
		}
		last := c.Files[len(c.Files)-1]
		if err := imagespec.CheckRootfs(last.Name, types[last.Type]); !errors.Is(err, imagespec.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, mode := range map[string]fs.FileMode{
		".kubefile": fs.ModeDir, ".kubefile/sealer-run": 0o755, ".kubefile/toolbox": fs.ModeDir, "registry": fs.ModeDir, "registry/config.yml": 0, "a\nb\x1b": 0,
		"usr/bin/sudo": fs.ModeSetuid | 0o755, "lib": fs.ModeSymlink, "a.wh.b": 0, "..a": 0, strings.Repeat("a", 255): 0, "unpacked.json": 0, "etc/.kubefile": 0,
	} {
		if err := imagespec.CheckRootfs(name, mode); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestWhiteouts(t *testing.T) {
	for name, want := range map[string]imagespec.Whiteout{
		".wh.a": {Path: "a"}, "a/.wh.b": {Path: "a/b"}, "a/.wh..b": {Path: "a/.b"}, "a/.wh..wh..opq": {Path: "a", Opaque: true}, ".wh..wh..opq": {Path: ".", Opaque: true}, ".wh..wh.plnk": {},
	} {
		if got, ok, err := imagespec.ReadWhiteout(name); got != want || !ok || err != nil {
			t.Errorf("%s: %+v, %v, %v", name, got, ok, err)
		}
	}
	for _, name := range []string{"a", "a.wh.b", ".wh", "a/.wh/b", ".wh.a/b"} {
		if _, ok, err := imagespec.ReadWhiteout(name); ok || err != nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
	for _, name := range []string{".wh.", "a/.wh.", "a/.wh..", "a/.wh..."} {
		if _, _, err := imagespec.ReadWhiteout(name); !errors.Is(err, imagespec.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCommandsThatHostsCanRun(t *testing.T) {
	most := strings.Repeat("x", 96<<10)
	for name, c := range map[string]imagespec.Command{
		"shell": {Shell: "a\n\tb\x1b"}, "exec": {Exec: []string{"a", ""}}, "as long as it may be": {Shell: most},
	} {
		if err := imagespec.CheckCommand(c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]imagespec.Command{
		"nothing": {}, "both": {Shell: "a", Exec: []string{"a"}}, "NUL in a shell": {Shell: "a\x00"}, "NUL in a word": {Exec: []string{"a", "b\x00c"}},
		"no program": {Exec: []string{""}}, "no program, but words": {Exec: []string{"", "a"}}, "too long": {Shell: most + "x"}, "too long together": {Exec: []string{"x", most}},
	} {
		if err := imagespec.CheckCommand(c); !errors.Is(err, imagespec.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVariables(t *testing.T) {
	for _, good := range []string{"A=1", "docker-dir=/x=y", "EMPTY=", "a.b=1", "A=line\nline"} {
		if err := imagespec.CheckVariable(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "A", "=s3cret", "-n=s3cret", "A\nB=s3cret", "A\x00=s3cret", "A=s3cret\x00"} {
		err := imagespec.CheckVariable(bad)
		if !errors.Is(err, imagespec.ErrInvalid) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
