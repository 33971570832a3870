package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A directory with files of others is neither installed into nor removed, whatever led to it.
func TestDirectoryOfOthers(t *testing.T) {
	root := t.TempDir()
	in := func(name string) string { return filepath.Join(root, name) }
	write(t, in("home/alice/precious"), "precious")
	write(t, in("home/bob/.x"), "precious")
	write(t, in("home/carl/"+JournalFile+".bak"), "precious")
	write(t, in("home/dora/."+strings.Repeat("p", len(randomName()))), "precious")
	write(t, in("home/file"), "precious")
	if err := os.Symlink(in("home/alice"), in("home/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(in("home/empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(in("home/empty"), in("home/link-to-empty")); err != nil {
		t.Fatal(err)
	}
	before := tree(t, root)
	for _, name := range []string{"alice", "bob", "carl", "dora", "file", "link", "link-to-empty", "alice/../alice"} {
		dir := root + "/home/" + name
		if _, err := install(installRequest{Dir: dir}); err == nil {
			t.Errorf("%s: installed", name)
		}
		if _, err := writeFile(fileRequest{Dir: dir, Path: in("x"), Mode: 0o644}, strings.NewReader("x")); err == nil {
			t.Errorf("%s: wrote a file", name)
		}
		if _, err := begin(beginRequest{Dir: dir, Cluster: name, ID: testID, What: BegunInstall}); err == nil {
			t.Errorf("%s: recorded", name)
		}
		if _, err := removeCreated(removeRequest{Dir: dir, Cluster: name}); err == nil {
			t.Errorf("%s: removed", name)
		}
	}
	checkTree(t, root, before)
}

// A directory that was there and empty, as a disk of its own, stays, and is empty again.
func TestEmptyDirectoryStays(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "data/default")
	if err := os.MkdirAll(filepath.Join(dir, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	before := tree(t, root)
	put(t, dir, filepath.Join(dir, "inside"), "x", 0o644)
	checkUndone(t, root, dir, before)
}

// What a first run leaves that is killed before its journal is written does not keep the next one from going on.
func TestInstallAfterAKillBeforeTheJournal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data/default")
	write(t, filepath.Join(dir, lockFile), "")
	write(t, filepath.Join(dir, "."+randomName()), "{")
	if _, err := install(installRequest{Dir: dir}); err != nil {
		t.Error(err)
	}
}

// Links further up than the cluster's directory are the site's choice.
func TestDataRootBehindALink(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "disk"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("disk", filepath.Join(root, "data")); err != nil {
		t.Fatal(err)
	}
	before := tree(t, root)
	dir := filepath.Join(root, "data/default")
	put(t, dir, filepath.Join(dir, "inside"), "x", 0o644)
	checkUndone(t, root, dir, before)
}

// A journal or record that is not of this directory and this cluster, is damaged, or can be written by others, removes nothing.
func TestForgedJournals(t *testing.T) {
	cases := map[string]struct {
		change      func(t *testing.T, dir string)
		cluster, id string
	}{
		"emptied":         {func(t *testing.T, dir string) { write(t, filepath.Join(dir, JournalFile), "") }, "default", ""},
		"an empty object": {func(t *testing.T, dir string) { write(t, filepath.Join(dir, JournalFile), "{}") }, "default", ""},
		"null":            {func(t *testing.T, dir string) { write(t, filepath.Join(dir, JournalFile), "null") }, "default", ""},
		"cut off":         {func(t *testing.T, dir string) { write(t, filepath.Join(dir, JournalFile), `{"version":2,`) }, "default", ""},
		"a directory": {func(t *testing.T, dir string) {
			replaceJournal(t, dir, func(f string) error { return os.Mkdir(f, 0o755) })
		}, "default", ""},
		"a link": {func(t *testing.T, dir string) {
			replaceJournal(t, dir, func(f string) error { return os.Symlink("/dev/null", f) })
		}, "default", ""},
		"writable by all": {func(t *testing.T, dir string) { chmod(t, filepath.Join(dir, JournalFile), 0o666) }, "default", ""},
		"begun elsewhere": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, JournalFile), `"dir": "`+dir+`"`, `"dir": "/srv/default"`)
		}, "default", ""},
		"another name":          {func(*testing.T, string) {}, "prod", ""},
		"another ID":            {func(*testing.T, string) {}, "default", "another"},
		"the record of another": {func(t *testing.T, dir string) { edit(t, filepath.Join(dir, RecordFile), `"default"`, `"prod"`) }, "default", testID},
		"a damaged record":      {func(t *testing.T, dir string) { write(t, filepath.Join(dir, RecordFile), "") }, "default", testID},
		"a record of the future": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, RecordFile), `"version": 1`, `"version": 7`)
		}, "default", testID},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			root, cluster := machine(t)
			if _, err := begin(beginRequest{Dir: cluster, Cluster: "default", ID: testID, What: BegunInstall}); err != nil {
				t.Fatal(err)
			}
			put(t, cluster, filepath.Join(root, "etc/own"), "ours", 0o644)
			write(t, filepath.Join(cluster, "inside"), "x")
			c.change(t, cluster)
			before := tree(t, filepath.Join(root, "etc"))
			if _, err := removeCreated(removeRequest{Dir: cluster, Cluster: c.cluster, ID: c.id}); err == nil {
				t.Error("it was removed")
			}
			if after := tree(t, filepath.Join(root, "etc")); after != before || !exists(filepath.Join(cluster, "inside")) {
				t.Errorf("before\n%s\nafter\n%s", before, after)
			}
		})
	}
}

func replaceJournal(t *testing.T, dir string, with func(string) error) {
	t.Helper()
	file := filepath.Join(dir, JournalFile)
	if err := errors.Join(os.Remove(file), with(file)); err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func edit(t *testing.T, path, old, now string) {
	t.Helper()
	text := read(t, path)
	if !strings.Contains(text, old) {
		t.Fatalf("%s has no %s:\n%s", path, old, text)
	}
	write(t, path, strings.Replace(text, old, now, 1))
}

// Without an agent on the host, or with one that cannot do it, the runner that is given does it, and does not stay.
func TestRemovalWithAnotherRunner(t *testing.T) {
	c := newHost(t)
	own := c.path
	c.path = filepath.Join(filepath.Dir(filepath.Dir(c.Dir)), "sealer-run")
	put(t, c.Dir, filepath.Join(c.Dir, "inside"), "x", 0o644)
	if _, err := c.RemoveCreated(t.Context(), "default", "", nil); err == nil || !exists(c.Dir) {
		t.Fatalf("got %v", err)
	}
	sum, err := digestOf(own)
	if err != nil {
		t.Fatal(err)
	}
	left, err := c.RemoveCreated(t.Context(), "default", "", func() (Binary, error) { return Binary{File: own, Digest: sum}, nil })
	if err != nil || len(left) != 0 {
		t.Fatal(left, err)
	}
	if got := tree(t, filepath.Dir(c.path)); got != "" {
		t.Errorf("left:\n%s", got)
	}
}

func TestMountPoints(t *testing.T) {
	for field, want := range map[string]string{"/a": "/a", `/a\040b`: "/a b", `/a\134`: `/a\`, `/a\04`: `/a\04`, `/a\999`: `/a\999`} {
		if got := mountPoint(field); got != want {
			t.Errorf("%q: got %q, want %q", field, got, want)
		}
	}
}

// The lines that a cluster has in a file of others are those that it wrote, whatever others put between its marks.
func TestSurveyLines(t *testing.T) {
	s := &Survey{journal: &journal{}}
	if err := s.journal.parse([]byte(`{"version":2,"dir":"/d","entries":[{"path":"/etc/hosts","block":{"mark":"a","lines":["1 x","2 y"]}},
		{"path":"/etc/hosts","block":{"mark":"b","lines":["3 z"]}},{"path":"/etc/other","digest":"sha256:x"}]}`)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ path, cluster, want string }{
		{"/etc/hosts", "a", "1 x,2 y"}, {"/etc/hosts", "b", "3 z"}, {"/etc/hosts", "c", ""}, {"/etc/other", "a", ""},
	} {
		if got := strings.Join(s.Lines(tt.path, tt.cluster), ","); got != tt.want {
			t.Errorf("%s of %s: got %q, want %q", tt.path, tt.cluster, got, tt.want)
		}
	}
}
