//go:build lab

package build

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// randomBaseYear is when the directories of a random base were last changed; those of a context are older.
	randomBaseYear = 2020
	// undated begins files that a build dates itself.
	undated = "now:"
)

// randomNames are names that occur in both base and context. Some look like files, some like directories; any of them may be either.
var randomNames = []string{"a", "A", "b", "conf.d", "app-1.2.3", "x.yaml", "99-site.conf", "Ünï", "with space", "srv", "opt", ".hidden"}

// copySources are sources of ADD in addition to the context.
type copySources struct{ url, git string }

func copySite(t *testing.T) copySources {
	t.Helper()
	git, _ := gitSite(t, files{"x.yaml": undated + " of git\n", "conf.d/a": undated + " of git, too\n"})
	return copySources{url: "http://" + lab.Upstream + "/files/dashboard/recommended.yaml", git: git}
}

// randomCopies makes bases and lines that copy onto them.
type randomCopies struct {
	*rand.Rand
	site    copySources
	paths   []string // of the base
	sources []string // of the context
}

func (r *randomCopies) name() string       { return pick(r, randomNames) }
func (r *randomCopies) chance(of int) bool { return r.IntN(of) == 0 }

func pick[T any](r *randomCopies, from []T) T { return from[r.IntN(len(from))] }

// base pushes a cluster image with random files.
func (r *randomCopies) base(t *testing.T) string {
	t.Helper()
	dir := files{"Kubefile": "FROM scratch\nLABEL io.kubefile.kubernetes.version=v1.34.4\nCOPY rootfs/ /\nCOPY --chown=7:8 --chmod=750 owned /owned\n"}.write(t)
	for _, top := range []string{"rootfs/srv", "rootfs", "owned"} {
		r.fill(t, filepath.Join(dir, top), 0)
	}
	for _, name := range below(t, dir) {
		date(t, filepath.Join(dir, name), time.Date(randomBaseYear, 1, 1, 0, 0, 0, 0, time.UTC))
		r.paths = append(r.paths, strings.TrimPrefix(name, "rootfs/"))
	}
	ref := newName(t)
	if output, err := buildx(t, dir, "-t", ref, "--push"); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return ref
}

// below returns the paths of all files in dir.
func below(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		list = append(list, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list[1:] // without dir itself
}

// fill makes files, directories and links in dir, which it makes, too.
func (r *randomCopies) fill(t *testing.T, dir string, depth int) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 + r.IntN(4) {
		name := filepath.Join(dir, r.name())
		if _, err := os.Lstat(name); err == nil {
			continue
		}
		switch kind := r.IntN(10); {
		case kind < 4 && depth < 2:
			r.fill(t, name, depth+1)
			if err := os.Chmod(name, pick(r, []fs.FileMode{0o755, 0o700, 0o777 | fs.ModeSticky, 0o775 | fs.ModeSetgid})); err != nil {
				t.Fatal(err)
			}
		case kind < 7:
			if err := os.Symlink(r.target(), name); err != nil {
				t.Fatal(err)
			}
		default:
			r.file(t, name)
		}
		date(t, name, time.Date(2001+r.IntN(10), 1, 1, 0, 0, 0, 0, time.UTC))
	}
}

func (r *randomCopies) file(t *testing.T, name string) {
	t.Helper()
	mode := pick(r, []fs.FileMode{0o644, 0o600, 0o755 | fs.ModeSetuid})
	content := pick(r, []string{"", "x", name})
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
	if second := name + "-linked"; r.chance(6) {
		if err := os.Link(name, second); err != nil {
			t.Fatal(err)
		}
	}
}

// target is where a link leads: to a file, a directory, out of the root, or to nothing.
func (r *randomCopies) target() string {
	return pick(r, []string{"", "../", "/", "./", "../../../", "nothing/"}) + r.name()
}

func date(t *testing.T, name string, when time.Time) {
	t.Helper()
	stamp := unix.NsecToTimespec(when.UnixNano())
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{stamp, stamp}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		t.Fatal(err)
	}
}

// context writes random sources and a Kubefile that copies them onto the base.
func (r *randomCopies) context(t *testing.T, base string) (dir, kubefile string) {
	t.Helper()
	dir = files{"archive.tar": tarball(t, "x.yaml", "of an archive", "conf.d/a", "of an archive, too")}.write(t)
	date(t, filepath.Join(dir, "archive.tar"), time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)) // BuildKit's cache does not know times
	r.fill(t, filepath.Join(dir, "src"), 0)
	r.fill(t, filepath.Join(dir, "src", "a.d"), 1)
	r.sources = slices.DeleteFunc(below(t, filepath.Join(dir, "src")), func(name string) bool { return leadsOut(filepath.Join(dir, "src", name)) })
	text := &strings.Builder{}
	fmt.Fprintf(text, "FROM scratch AS other\nCOPY src /src\nFROM %s\n", base)
	for range 1 + r.IntN(4) {
		fmt.Fprintln(text, r.line())
	}
	if err := os.WriteFile(filepath.Join(dir, "Kubefile"), []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, text.String()
}

// leadsOut reports whether a link leads to nothing, or may lead out of the context: as a source, that is an error.
func leadsOut(name string) bool {
	target, err := os.Readlink(name)
	if err != nil {
		return false
	}
	_, err = os.Stat(name)
	return err != nil || path.IsAbs(target)
}

func (r *randomCopies) line() string {
	switch r.IntN(24) {
	case 0, 1:
		return "WORKDIR " + quoted(r.dest())
	case 2:
		return "ADD " + list(r.site.url, r.dest())
	case 3:
		return "ADD " + list(r.site.git, r.dest())
	case 4:
		return "ADD " + list("archive.tar", r.dest())
	case 5:
		return "ADD --unpack=false " + list("archive.tar", r.dest())
	case 6:
		return "COPY <<E " + strings.ReplaceAll(r.dest(), " ", "-") + "\n" + undated + "\nE"
	}
	flags, sources := "", []string{r.source()}
	for _, flag := range []string{"--chown=3:4 ", "--chmod=750 ", "--exclude=**/*.yaml ", "--parents ", "--link ", "--from=other "} {
		if r.chance(10) {
			flags += flag
		}
	}
	dest := r.dest()
	if r.chance(4) {
		sources = append(sources, r.source())
		dest += "/"
	}
	return "COPY " + flags + list(append(sources, dest)...)
}

// source is a path or a pattern of the context.
func (r *randomCopies) source() string {
	if r.chance(2) {
		return path.Join("src", pick(r, r.sources))
	}
	return path.Join("src", pick(r, []string{"", "a.d", "*", "a*", "?", "[a-b]*", "*.d/*", "none*"}))
}

// dest is a new path, one of the base, or one right below that.
func (r *randomCopies) dest() string {
	dest := fmt.Sprintf("new-%d", r.IntN(4))
	if !r.chance(3) {
		dest = pick(r, r.paths)
	}
	if r.chance(4) {
		dest += "/" + r.name()
	}
	return pick(r, []string{"", "/", "/", "./", "../"}) + dest + pick(r, []string{"", "", "/", "/."})
}

func list(words ...string) string {
	data, _ := json.Marshal(words) // strings always marshal
	return string(data)
}

// quoted is a word of an instruction that has no list form for it.
func quoted(word string) string { return `"` + word + `"` }
