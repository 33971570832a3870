package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/cmd/commandline"
	"github.com/kubefile/kubefile/runner/host/hosttest"
)

// runningCluster is the flags for a host in this process, on which a kubectl answers as that of a cluster with one node.
func runningCluster(t *testing.T, kubectl string) []string {
	t.Helper()
	home, root := t.TempDir(), hosttest.DataRoot(t)
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", home)
	server := hosttest.New(t)
	server.Start(t, hosttest.Config{})
	bin := filepath.Join(root, "default", "rootfs", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "kubectl"), []byte(kubectl), 0o755); err != nil {
		t.Fatal(err)
	}
	return []string{"-m", server.Address.Addr().String(), "--port", strconv.Itoa(int(server.Address.Port())), "-u", server.User,
		"--pk", server.File("key"), "--data-root", root}
}

const kubectl = `#!/bin/sh
case "$*" in
*"get nodes -o wide"*) printf 'NAME STATUS\none \033[31mReady\n' ;;
*"get nodes -o jsonpath"*) printf '7\tone\t\t\tTrue\tv1.34.4\t10.0.0.1\n' ;;
*"get pods"*) printf 'nginx:1\n' ;;
esac
`

// noNull fails if a document has a null anywhere, and returns its members.
func noNull(t *testing.T, document string) map[string]any {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal([]byte(document), &members); err != nil {
		t.Fatalf("%v:\n%s", err, document)
	}
	if strings.Contains(document, "null") {
		t.Errorf("there is a null in\n%s", document)
	}
	return members
}

// TestStatusOutput: a document for programs; for people what kubectl prints, without what controls their terminal.
func TestStatusOutput(t *testing.T) {
	flags := runningCluster(t, kubectl)
	stdout, stderr, code := call(t, "", append([]string{"status", "-o", "json"}, flags...)...)
	if code != 0 {
		t.Fatalf("got status %d:\n%s", code, stderr)
	}
	got := noNull(t, stdout)
	nodes, _ := got["nodes"].([]any)
	if got["version"] != 1.0 || got["cluster"] != "default" || len(nodes) != 1 || nodes[0].(map[string]any)["name"] != "one" {
		t.Errorf("got\n%s", stdout)
	}
	stdout, _, code = call(t, "", append([]string{"status"}, flags...)...)
	if want := "NAME STATUS\none \\x1b[31mReady\n\nserved by the embedded registry:\n"; code != 0 || stdout != want {
		t.Errorf("got status %d and %q, want %q", code, stdout, want)
	}
}

// TestImagesOfACluster: the document for programs, also of an image and a cluster that have nothing in common.
func TestImagesOfACluster(t *testing.T) {
	image := layout(t)
	for _, pods := range []string{kubectl, "#!/bin/sh\n"} {
		flags := runningCluster(t, pods)
		stdout, stderr, code := call(t, "", append([]string{"images", image, "--from-cluster", "-o", "json"}, flags...)...)
		if code != 0 {
			t.Fatalf("got status %d:\n%s", code, stderr)
		}
		got := noNull(t, stdout)
		used, _ := got["used"].([]any)
		if got["version"] != 1.0 || len(used) != strings.Count(pods, "nginx") {
			t.Errorf("got\n%s", stdout)
		}
	}
}

// TestClusterThatIsNotThere: the message has the host and what to run.
func TestClusterThatIsNotThere(t *testing.T) {
	image := layout(t)
	flags := runningCluster(t, "#!/bin/sh\nexit 1\n")
	for _, command := range [][]string{{"status"}, {"status", "-o", "json"}, {"kubeconfig"}, {"images", image, "--from-cluster"}} {
		stdout, stderr, code := call(t, "", append(command, flags...)...)
		if code != commandline.Failed || stdout != "" || !strings.Contains(stderr, "127.0.0.1: has no cluster default") || !strings.Contains(stderr, "sealer-run IMAGE -m 127.0.0.1") {
			t.Errorf("%q: got status %d, %q and\n%s", command, code, stdout, stderr)
		}
	}
}
