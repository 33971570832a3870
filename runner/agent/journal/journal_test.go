package journal

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/agent/agenttest"
	"github.com/kubefile/kubefile/runner/agent/clusterdir"
	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/agent/wire"
)

// machine is one with nothing but a file, and where the cluster is going to be.
func machine(t *testing.T) (root, cluster string) {
	root = t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	agenttest.Write(t, filepath.Join(root, "etc", "hosts"), "127.0.0.1 localhost\n")
	if err := os.Chmod(filepath.Join(root, "etc", "hosts"), 0o640); err != nil {
		t.Fatal(err)
	}
	return root, filepath.Join(root, "var", "lib", "sealer", "data", "default")
}

func put(t *testing.T, cluster, path, content string, mode fs.FileMode) bool {
	t.Helper()
	did, err := WriteFile(wire.FileRequest{Dir: cluster, Path: path, Mode: mode}, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return did.Changed
}

func undo(t *testing.T, cluster string) []string {
	t.Helper()
	answer, err := RemoveCreated(wire.RemoveRequest{Dir: cluster})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Left
}

// checkTree checks that a tree is what it was before.
func checkTree(t *testing.T, root, before string) {
	t.Helper()
	if after := agenttest.Tree(t, root); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
}

// checkUndone undoes what was done for a cluster, and checks that nothing is left of it.
func checkUndone(t *testing.T, root, cluster, before string) {
	t.Helper()
	if left := undo(t, cluster); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
	checkTree(t, root, before)
}

func TestEverythingIsUndone(t *testing.T) {
	root, cluster := machine(t)
	before := agenttest.Tree(t, root)
	in := func(name string) string { return filepath.Join(root, name) }
	if !put(t, cluster, in("etc/systemd/system/a.service"), "[Unit]", 0o644) ||
		!put(t, cluster, in("etc/secret"), "token", 0o600) ||
		!put(t, cluster, in("etc/hosts"), "127.0.0.1 localhost\n10.0.0.1 x\n", 0o644) ||
		!put(t, cluster, in("etc/hosts"), "127.0.0.1 localhost\n10.0.0.2 x\n", 0o644) ||
		!put(t, cluster, filepath.Join(cluster, "pki/ca.crt"), "inside", 0o644) {
		t.Fatal("a write changed nothing")
	}
	if put(t, cluster, in("etc/secret"), "token", 0o600) {
		t.Error("the same write changed something")
	}
	if !put(t, cluster, in("etc/secret"), "token", 0o400) || agenttest.Read(t, in("etc/secret")) != "token" {
		t.Error("another mode is no change")
	}
	if info, err := os.Stat(in("etc/secret")); err != nil || info.Mode() != 0o400 {
		t.Error(info.Mode(), err)
	}
	for _, name := range []string{hostrecord.JournalFile, hostrecord.PreviousDir} {
		if info, err := os.Stat(filepath.Join(cluster, name)); err != nil || name == hostrecord.JournalFile && info.Mode() != 0o600 {
			t.Error(info, err)
		}
	}
	if strings.Contains(agenttest.Read(t, filepath.Join(cluster, hostrecord.JournalFile)), "token") {
		t.Error("content is in the journal")
	}
	checkUndone(t, root, cluster, before)
	if info, err := os.Stat(in("etc/hosts")); err != nil || info.Mode() != 0o640 {
		t.Error("mode of the restored file: ", info.Mode(), err)
	}
}

func TestWhatOthersDidStays(t *testing.T) {
	root, cluster := machine(t)
	in := func(name string) string { return filepath.Join(root, name) }
	put(t, cluster, in("etc/containerd/config.toml"), "ours", 0o644)
	put(t, cluster, in("etc/hosts"), "ours", 0o644)
	put(t, cluster, in("etc/gone"), "ours", 0o644)
	put(t, cluster, in("etc/changed"), "ours", 0o644)
	agenttest.Write(t, in("etc/containerd/theirs"), "x")
	agenttest.Write(t, in("etc/hosts"), "ours and theirs")
	agenttest.Write(t, in("etc/changed"), "theirs")
	if err := os.Remove(in("etc/gone")); err != nil {
		t.Fatal(err)
	}
	left := strings.Join(undo(t, cluster), "\n")
	for _, want := range []string{
		"etc/changed: changed by others since", "etc/containerd: not empty",
		"etc/hosts: changed by others since; take out by hand what does not belong; what was there before is in " + in("etc/hosts.before-kubefile"),
	} {
		if !strings.Contains(left, want) {
			t.Errorf("left is\n%s\nwithout %s", left, want)
		}
	}
	if got := agenttest.Tree(t, root); got != "d etc\n- etc/changed theirs\nd etc/containerd\n- etc/containerd/theirs x\n"+
		"- etc/hosts ours and theirs\n- etc/hosts.before-kubefile 127.0.0.1 localhost\n" {
		t.Errorf("%s", got)
	}
}

// TestKilledBetweenJournalAndFile has the entry but not the file.
func TestKilledBetweenJournalAndFile(t *testing.T) {
	root, cluster := machine(t)
	before := agenttest.Tree(t, root)
	j, err := openJournal(cluster)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"etc/hosts", "etc/new/file"} {
		if err := j.prepare(filepath.Join(root, name), "sha256:whatever", 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	checkUndone(t, root, cluster, before)
}

func TestFileThatIsRightAlreadyIsNotOurs(t *testing.T) {
	root, cluster := machine(t)
	hosts := filepath.Join(root, "etc/hosts")
	if put(t, cluster, hosts, agenttest.Read(t, hosts), 0o640) {
		t.Fatal("changed")
	}
	undo(t, cluster)
	if _, err := os.Stat(hosts); err != nil {
		t.Fatal(err)
	}
}

func TestLinksAreFollowedNotReplaced(t *testing.T) {
	root, cluster := machine(t)
	before := agenttest.Tree(t, root)
	linked := filepath.Join(root, "etc/linked")
	if err := os.Symlink("hosts", linked); err != nil {
		t.Fatal(err)
	}
	put(t, cluster, linked, "ours", 0o644)
	if got := agenttest.Read(t, filepath.Join(root, "etc/hosts")); got != "ours" {
		t.Fatal(got)
	}
	undo(t, cluster)
	if err := os.Remove(linked); err != nil {
		t.Fatal("the link was replaced: ", err)
	}
	checkTree(t, root, before)
}

func TestRefusedRequests(t *testing.T) {
	root, cluster := machine(t)
	for _, path := range []string{"", "relative", "/a/../b", filepath.Join(root, "etc"), "/dev/null"} {
		if _, err := WriteFile(wire.FileRequest{Dir: cluster, Path: path, Mode: 0o644}, strings.NewReader("x")); !errors.Is(err, wire.ErrInvalid) {
			t.Errorf("%q: %v", path, err)
		}
	}
	if _, err := WriteFile(wire.FileRequest{Dir: cluster, Path: filepath.Join(root, "big"), Mode: 0o644}, strings.NewReader(strings.Repeat("x", maxFile+1))); !errors.Is(err, wire.ErrInvalid) {
		t.Error(err)
	}
	for _, dir := range []string{"/", "/etc", filepath.Join(root, "etc"), "relative/dir/x"} {
		if _, err := RemoveCreated(wire.RemoveRequest{Dir: dir}); err == nil {
			t.Errorf("%s was removed", dir)
		}
	}
	if agenttest.Read(t, filepath.Join(root, "etc/hosts")) == "" {
		t.Error("hosts is gone")
	}
}

func TestInstall(t *testing.T) {
	root, cluster := machine(t)
	before := agenttest.Tree(t, root)
	temp, path := filepath.Join(root, "temp"), filepath.Join(root, "usr/local/bin/sealer-run")
	for _, content := range []string{"runner 1", "runner 2"} {
		agenttest.Write(t, temp, content)
		sum, err := clusterdir.DigestOf(temp)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := Install(wire.InstallRequest{Dir: cluster, Path: path, Temp: temp, Digest: sum})
		if err != nil || !answer.Changed || answer.Protocol != wire.Protocol {
			t.Fatal(answer, err)
		}
		info, err := os.Stat(path)
		if err != nil || agenttest.Read(t, path) != content || info.Mode() != 0o755 {
			t.Fatal(info, err)
		}
		if answer, err = Install(wire.InstallRequest{Dir: cluster, Path: path, Digest: sum}); err != nil || answer.Changed {
			t.Fatal(answer, err)
		}
	}
	agenttest.Write(t, temp, "damaged")
	if _, err := Install(wire.InstallRequest{Dir: cluster, Path: path, Temp: temp, Digest: "sha256:x"}); !errors.Is(err, wire.ErrDamaged) || agenttest.Read(t, path) != "runner 2" {
		t.Fatal(err)
	}
	checkUndone(t, root, cluster, before)
}

func TestJournalOfALaterVersion(t *testing.T) {
	_, cluster := machine(t)
	if _, err := Install(wire.InstallRequest{Dir: cluster}); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(map[string]any{"version": 3})
	if err != nil {
		t.Fatal(err)
	}
	agenttest.Write(t, filepath.Join(cluster, hostrecord.JournalFile), string(data))
	if _, err := RemoveCreated(wire.RemoveRequest{Dir: cluster}); err == nil || !strings.Contains(err.Error(), "version 3") {
		t.Fatal(err)
	}
}
