package journal

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/kubefile/kubefile/runner/agent/agenttest"
	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/agent/wire"
)

// names has the agent give a hosts file the cluster's lines.
func names(t *testing.T, cluster, path string, lines ...string) {
	t.Helper()
	if _, err := WriteBlock(wire.BlockRequest{Dir: cluster, Path: path, Cluster: "default", Lines: lines}); err != nil {
		t.Fatal(err)
	}
}

// A line that an administrator adds to a shared file between two applies stays, and the cluster's go.
func TestUndoKeepsLinesOfOthers(t *testing.T) {
	const mark = "kubefile cluster default"
	cases := map[string]struct {
		edit func(text string) string
		want string
	}{
		"appended":              {func(s string) string { return s + "10.9.9.9 nas\n" }, "127.0.0.1 localhost\n10.9.9.9 nas\n"},
		"before":                {func(s string) string { return "10.9.9.9 nas\n" + s }, "10.9.9.9 nas\n127.0.0.1 localhost\n"},
		"between the marks":     {func(s string) string { return strings.Replace(s, "10.0.0.1 m\n", "10.9.9.9 nas\n10.0.0.1 m\n", 1) }, "127.0.0.1 localhost\n10.9.9.9 nas\n"},
		"a line of ours edited": {func(s string) string { return strings.Replace(s, "10.0.0.1 m\n", "10.0.0.1 m nas\n", 1) }, "127.0.0.1 localhost\n10.0.0.1 m nas\n"},
		"a line of ours twice":  {func(s string) string { return s + "10.0.0.1 m\n" }, "127.0.0.1 localhost\n10.0.0.1 m\n"},
		"no end mark":           {func(s string) string { return strings.Replace(s, "# end "+mark+"\n", "10.9.9.9 nas\n", 1) }, "127.0.0.1 localhost\n10.9.9.9 nas\n"},
		"no begin mark":         {func(s string) string { return strings.Replace(s, "# begin "+mark+"\n", "", 1) }, "127.0.0.1 localhost\n"},
		"no marks": {func(s string) string {
			return strings.NewReplacer("# begin "+mark+"\n", "", "# end "+mark+"\n", "").Replace(s)
		}, "127.0.0.1 localhost\n"},
		"twice the whole":        {func(s string) string { return s + s }, "127.0.0.1 localhost\n127.0.0.1 localhost\n"},
		"line endings of others": {func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }, "127.0.0.1 localhost\r\n"},
		"emptied":                {func(string) string { return "" }, ""},
		"their own line removed": {func(s string) string { return strings.Replace(s, "127.0.0.1 localhost\n", "", 1) }, ""},
	}
	for name, c := range cases {
		for _, again := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, applied again %v", name, again), func(t *testing.T) {
				root, cluster := machine(t)
				hosts := filepath.Join(root, "etc/hosts")
				names(t, cluster, hosts, "10.0.0.1 m", "127.0.0.1 api")
				agenttest.Write(t, hosts, c.edit(agenttest.Read(t, hosts)))
				if again {
					names(t, cluster, hosts, "10.0.0.1 m", "10.0.0.2 n")
				}
				if left := undo(t, cluster); len(left) != 0 {
					t.Errorf("left: %q", left)
				}
				if got := agenttest.Read(t, hosts); got != c.want {
					t.Errorf("got\n%swant\n%s", got, c.want)
				}
			})
		}
	}
}

// A shared file keeps its mode, its attributes and its last line without an end; one that was made for the cluster goes.
func TestSharedFileIsAsBefore(t *testing.T) {
	root, cluster := machine(t)
	hosts, made := filepath.Join(root, "etc/hosts"), filepath.Join(root, "srv/hosts")
	agenttest.Write(t, hosts, "127.0.0.1 localhost")
	if err := os.Chmod(hosts, 0o604); err != nil {
		t.Fatal(err)
	}
	attributes := unix.Setxattr(hosts, "user.kubefile-test", []byte("x"), 0) == nil // not every file system has them
	before := agenttest.Tree(t, root)
	for _, line := range []string{"10.0.0.1 a", "10.0.0.1 b"} {
		names(t, cluster, hosts, line)
		names(t, cluster, made, line)
	}
	if info, err := os.Stat(hosts); err != nil || info.Mode() != 0o604 {
		t.Errorf("got %v, %v, want mode 0604", info, err)
	}
	checkUndone(t, root, cluster, before)
	if n, err := unix.Getxattr(hosts, "user.kubefile-test", make([]byte, 8)); attributes && (err != nil || n != 1) {
		t.Errorf("the extended attribute is lost: %v", err)
	}
}

// killedWriting leaves what a run leaves that is killed between the journal and the file.
func killedWriting(t *testing.T, cluster string, prepare func(*journal) error) {
	t.Helper()
	j, err := openJournal(cluster)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if err := prepare(j); err != nil {
		t.Fatal(err)
	}
}

func TestUndoAfterAKillBetweenTwoWrites(t *testing.T) {
	root, cluster := machine(t)
	before := agenttest.Tree(t, root)
	own, hosts := filepath.Join(root, "etc/own"), filepath.Join(root, "etc/hosts")
	put(t, cluster, own, "first", 0o644)
	names(t, cluster, hosts, "10.0.0.1 m")
	for _, next := range []string{"second", "third"} {
		killedWriting(t, cluster, func(j *journal) error { return j.prepare(own, digest.FromString(next), 0o644) })
		killedWriting(t, cluster, func(j *journal) error {
			known, _ := j.known(j.Find(hosts))
			return j.prepareBlock(hosts, &hostrecord.Block{Mark: "default", Lines: []string{next}, Old: known})
		})
	}
	checkUndone(t, root, cluster, before)
}

// What others made of a file of ours is not lost when it is written again, and is named at the removal.
func TestChangedFileIsKeptWhenWrittenAgain(t *testing.T) {
	root, cluster := machine(t)
	own := filepath.Join(root, "etc/hosts.toml")
	put(t, cluster, own, "ours", 0o644)
	for i, text := range []string{"ours and theirs", "theirs again"} {
		agenttest.Write(t, own, text)
		put(t, cluster, own, fmt.Sprint("ours ", i), 0o644)
	}
	left := strings.Join(undo(t, cluster), "\n")
	for _, name := range []string{own + ".before-kubefile: ", own + ".before-kubefile-2: "} {
		if !strings.Contains(left, name) {
			t.Errorf("left is\n%s\nwithout %s", left, name)
		}
	}
	want := "d etc\n- etc/hosts 127.0.0.1 localhost\n\n- etc/hosts.toml.before-kubefile ours and theirs\n- etc/hosts.toml.before-kubefile-2 theirs again"
	if got := agenttest.Tree(t, root); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// What others put in the place of our file, and modes that they gave it, stay.
func TestReplacedFilesStay(t *testing.T) {
	root, cluster := machine(t)
	in := func(name string) string { return filepath.Join(root, name) }
	precious := in("precious")
	agenttest.Write(t, precious, "precious")
	agenttest.Write(t, in("etc/kept"), "original")
	for _, name := range []string{"etc/link", "etc/dir", "etc/kept", "etc/hosts", "etc/made/x"} {
		put(t, cluster, in(name), "ours "+name, 0o644)
	}
	for _, err := range []error{
		os.Remove(in("etc/link")), os.Symlink(precious, in("etc/link")),
		os.Remove(in("etc/dir")), os.MkdirAll(in("etc/dir/x"), 0o755),
		os.Remove(in("etc/kept")), os.Symlink(precious, in("etc/kept")),
		os.Chmod(in("etc/hosts"), 0o600),
		os.RemoveAll(in("etc/made")), os.Symlink(root, in("etc/made")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	left := strings.Join(undo(t, cluster), "\n")
	for _, name := range []string{"etc/link", "etc/dir", "etc/kept"} {
		if !strings.Contains(left, in(name)+": others put something else in its place") {
			t.Errorf("left is\n%s\nwithout %s", left, name)
		}
	}
	if got := agenttest.Read(t, in("etc/kept.before-kubefile")); got != "original" {
		t.Errorf("got %q", got)
	}
	if target, err := os.Readlink(in("etc/made")); err != nil || target != root {
		t.Errorf("the link that replaced a directory: %v", err)
	}
	if info, err := os.Stat(in("etc/hosts")); err != nil || info.Mode() != 0o600 || agenttest.Read(t, precious) != "precious" {
		t.Errorf("got %v, %v", info, err)
	}
}

// downgrade makes the journal one that an agent of version 1 would have written.
func downgrade(t *testing.T, cluster string) {
	t.Helper()
	file := filepath.Join(cluster, hostrecord.JournalFile)
	var old struct {
		Version int              `json:"version"`
		Entries []map[string]any `json:"entries"`
	}
	if err := json.Unmarshal([]byte(agenttest.Read(t, file)), &old); err != nil {
		t.Fatal(err)
	}
	old.Version = 1
	for _, e := range old.Entries {
		for _, key := range []string{"old", "mode", "aside", "block", "kubeconfig"} {
			delete(e, key)
		}
	}
	data, err := json.Marshal(old)
	if err != nil {
		t.Fatal(err)
	}
	agenttest.Write(t, file, string(data))
}

// Journals of version 1 are undone by marks, too, and not by whole files.
func TestUndoOfAnEarlierJournal(t *testing.T) {
	for _, again := range []bool{false, true} {
		root, cluster := machine(t)
		in := func(name string) string { return filepath.Join(root, name) }
		before := agenttest.Tree(t, root)
		put(t, cluster, in("etc/a.toml"), "ours", 0o644)
		put(t, cluster, in("root/.kube/config"), admin("kubernetes", earlierServer, "CA"), 0o600)
		put(t, cluster, in("etc/hosts"), agenttest.Read(t, in("etc/hosts"))+"# begin kubefile cluster default\n10.0.0.1 m\n# end kubefile cluster default\n", 0o644)
		agenttest.Write(t, filepath.Join(cluster, earlierCacheMarker), "\n")
		agenttest.Write(t, in("root/.kube/cache/discovery/apiserver.cluster.local_6443/x"), "x")
		downgrade(t, cluster)
		agenttest.Write(t, in("etc/hosts"), agenttest.Read(t, in("etc/hosts"))+"10.9.9.9 nas\n")
		if again {
			names(t, cluster, in("etc/hosts"), "10.0.0.1 m", "10.0.0.2 n")
			put(t, cluster, in("etc/a.toml"), "ours again", 0o644)
		}
		if left := undo(t, cluster); len(left) != 0 {
			t.Errorf("again %v: left %q", again, left)
		}
		if got, want := agenttest.Tree(t, root), before+"10.9.9.9 nas\n"; got != want {
			t.Errorf("again %v: got\n%s\nwant\n%s", again, got, want)
		}
	}
}

// An earlier agent may have been let into a directory of others: what it wrote outside is undone, and the directory stays.
func TestUndoOfAnEarlierJournalInADirectoryOfOthers(t *testing.T) {
	root, cluster := machine(t)
	agenttest.Write(t, filepath.Join(cluster, "precious"), "precious")
	agenttest.Write(t, filepath.Join(cluster, hostrecord.JournalFile), `{"version":1,"entries":[{"path":"`+filepath.Join(root, "etc/own")+`","digest":"`+digest.FromString("ours").String()+`"}]}`)
	agenttest.Write(t, filepath.Join(root, "etc/own"), "ours")
	if left := undo(t, cluster); len(left) != 1 || !strings.HasPrefix(left[0], cluster+": ") {
		t.Errorf("left: %q", left)
	}
	if agenttest.Exists(filepath.Join(root, "etc/own")) || agenttest.Read(t, filepath.Join(cluster, "precious")) != "precious" {
		t.Error("the file of ours is there, or that of others is not")
	}
	if _, err := RemoveCreated(wire.RemoveRequest{Dir: cluster}); err == nil {
		t.Error("a second removal did something")
	}
}

// Whatever others did to a file that was there before, it can be found: in its place or beside it.
func TestOriginalIsFound(t *testing.T) {
	root, cluster := machine(t)
	hosts := filepath.Join(root, "etc/hosts")
	put(t, cluster, hosts, "ours", fs.FileMode(0o644))
	agenttest.Write(t, hosts, "theirs")
	left := undo(t, cluster)
	if len(left) != 1 || agenttest.Read(t, hosts) != "theirs" || agenttest.Read(t, hosts+".before-kubefile") != "127.0.0.1 localhost\n" {
		t.Errorf("left: %q, %s", left, agenttest.Tree(t, root))
	}
	if info, err := os.Stat(hosts + ".before-kubefile"); err != nil || info.Mode() != 0o640 {
		t.Errorf("got %v, %v, want the mode that it had", info, err)
	}
}
