package journal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/agent/agenttest"
	"github.com/kubefile/kubefile/runner/agent/clusterdir"
	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/agent/wire"
)

const testID = "5f0e7a52-3c1e-4a53-9c4c-0d1c9b9a2f11"

// A directory with files of others is neither installed into nor removed, whatever led to it.
func TestDirectoryOfOthers(t *testing.T) {
	root := t.TempDir()
	in := func(name string) string { return filepath.Join(root, name) }
	agenttest.Write(t, in("home/alice/precious"), "precious")
	agenttest.Write(t, in("home/bob/.x"), "precious")
	agenttest.Write(t, in("home/carl/"+hostrecord.JournalFile+".bak"), "precious")
	agenttest.Write(t, in("home/dora/."+strings.Repeat("p", len(clusterdir.RandomName()))), "precious")
	agenttest.Write(t, in("home/file"), "precious")
	if err := os.Symlink(in("home/alice"), in("home/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(in("home/empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(in("home/empty"), in("home/link-to-empty")); err != nil {
		t.Fatal(err)
	}
	before := agenttest.Tree(t, root)
	for _, name := range []string{"alice", "bob", "carl", "dora", "file", "link", "link-to-empty", "alice/../alice"} {
		dir := root + "/home/" + name
		if _, err := Install(wire.InstallRequest{Dir: dir}); err == nil {
			t.Errorf("%s: installed", name)
		}
		if _, err := WriteFile(wire.FileRequest{Dir: dir, Path: in("x"), Mode: 0o644}, strings.NewReader("x")); err == nil {
			t.Errorf("%s: wrote a file", name)
		}
		if _, err := Begin(hostrecord.BeginRequest{Dir: dir, Cluster: name, ID: testID, What: hostrecord.BegunInstall}); err == nil {
			t.Errorf("%s: recorded", name)
		}
		if _, err := RemoveCreated(wire.RemoveRequest{Dir: dir, Cluster: name}); err == nil {
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
	before := agenttest.Tree(t, root)
	put(t, dir, filepath.Join(dir, "inside"), "x", 0o644)
	checkUndone(t, root, dir, before)
}

// What a first run leaves that is killed before its journal is written does not keep the next one from going on.
func TestInstallAfterAKillBeforeTheJournal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data/default")
	agenttest.Write(t, filepath.Join(dir, lockFile), "")
	agenttest.Write(t, filepath.Join(dir, "."+clusterdir.RandomName()), "{")
	if _, err := Install(wire.InstallRequest{Dir: dir}); err != nil {
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
	before := agenttest.Tree(t, root)
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
		"emptied":         {func(t *testing.T, dir string) { agenttest.Write(t, filepath.Join(dir, hostrecord.JournalFile), "") }, "default", ""},
		"an empty object": {func(t *testing.T, dir string) { agenttest.Write(t, filepath.Join(dir, hostrecord.JournalFile), "{}") }, "default", ""},
		"null":            {func(t *testing.T, dir string) { agenttest.Write(t, filepath.Join(dir, hostrecord.JournalFile), "null") }, "default", ""},
		"cut off": {func(t *testing.T, dir string) {
			agenttest.Write(t, filepath.Join(dir, hostrecord.JournalFile), `{"version":2,`)
		}, "default", ""},
		"a directory": {func(t *testing.T, dir string) {
			replaceJournal(t, dir, func(f string) error { return os.Mkdir(f, 0o755) })
		}, "default", ""},
		"a link": {func(t *testing.T, dir string) {
			replaceJournal(t, dir, func(f string) error { return os.Symlink("/dev/null", f) })
		}, "default", ""},
		"writable by all": {func(t *testing.T, dir string) { chmod(t, filepath.Join(dir, hostrecord.JournalFile), 0o666) }, "default", ""},
		"begun elsewhere": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, hostrecord.JournalFile), `"dir": "`+dir+`"`, `"dir": "/srv/default"`)
		}, "default", ""},
		"another name": {func(*testing.T, string) {}, "prod", ""},
		"another ID":   {func(*testing.T, string) {}, "default", "another"},
		"the record of another": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, hostrecord.RecordFile), `"default"`, `"prod"`)
		}, "default", testID},
		"a damaged record": {func(t *testing.T, dir string) { agenttest.Write(t, filepath.Join(dir, hostrecord.RecordFile), "") }, "default", testID},
		"a record of the future": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, hostrecord.RecordFile), `"version": 1`, `"version": 7`)
		}, "default", testID},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			root, cluster := machine(t)
			if _, err := Begin(hostrecord.BeginRequest{Dir: cluster, Cluster: "default", ID: testID, What: hostrecord.BegunInstall}); err != nil {
				t.Fatal(err)
			}
			put(t, cluster, filepath.Join(root, "etc/own"), "ours", 0o644)
			agenttest.Write(t, filepath.Join(cluster, "inside"), "x")
			c.change(t, cluster)
			before := agenttest.Tree(t, filepath.Join(root, "etc"))
			if _, err := RemoveCreated(wire.RemoveRequest{Dir: cluster, Cluster: c.cluster, ID: c.id}); err == nil {
				t.Error("it was removed")
			}
			if after := agenttest.Tree(t, filepath.Join(root, "etc")); after != before || !agenttest.Exists(filepath.Join(cluster, "inside")) {
				t.Errorf("before\n%s\nafter\n%s", before, after)
			}
		})
	}
}

func replaceJournal(t *testing.T, dir string, with func(string) error) {
	t.Helper()
	file := filepath.Join(dir, hostrecord.JournalFile)
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
	text := agenttest.Read(t, path)
	if !strings.Contains(text, old) {
		t.Fatalf("%s has no %s:\n%s", path, old, text)
	}
	agenttest.Write(t, path, strings.Replace(text, old, now, 1))
}

func TestMountPoints(t *testing.T) {
	for field, want := range map[string]string{"/a": "/a", `/a\040b`: "/a b", `/a\134`: `/a\`, `/a\04`: `/a\04`, `/a\999`: `/a\999`} {
		if got := mountPoint(field); got != want {
			t.Errorf("%q: got %q, want %q", field, got, want)
		}
	}
}
