package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/cmd/commandline"
	"github.com/kubefile/kubefile/imagespec"
	format "github.com/kubefile/kubefile/imagespec/clusterfile"
	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/source/sourcetest"
	"github.com/kubefile/kubefile/version"
)

// call runs the program as main does.
func call(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), append([]string{"sealer-run"}, args...), strings.NewReader(stdin), &out, &err)
	return out.String(), err.String(), code
}

// layout is a cluster image in an OCI layout.
func layout(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	sourcetest.Layout(t, dir, []string{"amd64", "arm64"},
		sourcetest.Layer{Tar: sourcetest.Tar(t, sourcetest.Entry{Name: imagespec.RunnerPath, Content: "x", Mode: 0o755})})
	return dir
}

func TestWrongCalls(t *testing.T) {
	image := layout(t)
	cases := []struct {
		name, line, want string
		code             int
	}{
		{"nothing", "", "no IMAGE", commandline.Usage},
		{"no master", "IMAGE", "-m", commandline.Usage},
		{"only nodes", "IMAGE -n 10.0.0.1", "-m", commandline.Usage},
		{"two cluster images", "IMAGE IMAGE -m 10.0.0.1", "only one image may contain Kubernetes", commandline.Failed},
		{"two images to look at", "inspect IMAGE IMAGE", "takes one IMAGE, and got 2", commandline.Usage},
		{"apply without a file", "apply", "-f Clusterfile", commandline.Usage},
		{"a file and flags", "apply -f x -m 10.0.0.1", "write it into the Clusterfile", commandline.Usage},
		{"a Clusterfile and a password from one input", "apply -f - -p -", "-f - and -p -", commandline.Usage},
		{"two Clusterfiles from one input", "apply -f - -f -", "given only once", commandline.Usage},
		{"one input by two names", "apply -f - -f /dev/stdin", "given only once", commandline.Usage},
		{"one input by another name", "apply -f /dev/fd/0 -p -", "-f - and -p -", commandline.Usage},
		{"a file and another user", "plan -f x -u admin", "--user and a Clusterfile", commandline.Usage},
		{"plan of nothing", "plan", "no IMAGE", commandline.Usage},
		{"gen of nothing", "gen -m 10.0.0.1", "no IMAGE", commandline.Usage},
		{"gen of a Clusterfile", "gen IMAGE -f x", "add --kubeadm", commandline.Usage},
		{"gen of no configuration", "gen --kubeadm -m 10.0.0.1", "no IMAGE", commandline.Usage},
		{"no such Clusterfile", "apply -f nowhere/Clusterfile", "flag --Clusterfile: nowhere/Clusterfile does not exist", commandline.Usage},
		{"no such Clusterfile of a join", "join -n 10.0.0.1 -f nowhere", "flag --Clusterfile: nowhere does not exist", commandline.Usage},
		{"no such key", "IMAGE -m 10.0.0.1 --pk nowhere/key", "flag --pk: nowhere/key does not exist", commandline.Usage},
		{"no such key of a join", "join -n 10.0.0.1 --via 10.0.0.2 --pk ~/nowhere/key", "/nowhere/key does not exist", commandline.Usage},
		{"no such configuration of a registry", "registry serve --config nowhere", "flag --config: nowhere does not exist", commandline.Usage},
		{"no such configuration of a load balancer", "apiserver-proxy serve --config nowhere", "flag --config: nowhere does not exist", commandline.Usage},
		{"an application that is not there", "IMAGE -m 10.0.0.1 --app web", "no application web", commandline.Failed},
		{"no argument of a command", "IMAGE -m 10.0.0.1 --cmd-args x", "name=value", commandline.Usage},
		{"a flag that looks like another", "IMAGE -m 10.0.0.1 --mastres x", "unknown flag --mastres; did you mean --masters?", commandline.Usage},
		{"a flag before the image", "--nodse x IMAGE", "did you mean --nodes?", commandline.Usage},
		{"a flag of a command", "delete --al", "did you mean --all?", commandline.Usage},
		{"a short flag", "IMAGE -x", "unknown flag -x", commandline.Usage},
		{"twice", "IMAGE -m 10.0.0.1 -n 10.0.0.1", "10.0.0.1", commandline.Usage},
		{"twice in a range", "IMAGE -m 10.0.0.1-10.0.0.3,10.0.0.2", "10.0.0.2", commandline.Usage},
		{"not an address", "IMAGE -m 10.0.0.256", "10.0.0.256", commandline.Usage},
		{"port", "IMAGE -m 10.0.0.1 --port 70000", "port", commandline.Usage},
		{"output", "IMAGE -m 10.0.0.1 --output yaml", "neither text nor json", commandline.Usage},
		{"environment", "IMAGE -m 10.0.0.1 -e =s3cret", "name=value", commandline.Usage},
		{"cluster name", "IMAGE -m 10.0.0.1 --cluster-name ../x", "cluster name", commandline.Usage},
		{"data root", "IMAGE -m 10.0.0.1 --data-root x/../..", "absolute path", commandline.Usage},
		{"no such file", "./nowhere.tar -m 10.0.0.1", "nowhere.tar", commandline.Failed},
		{"delete what", "delete", "--all", commandline.Usage},
		{"delete of a host without asking", "delete -m 10.0.0.1", "--yes", commandline.Usage},
		{"delete without asking", "delete --all -m 10.0.0.1", "--yes", commandline.Usage},
		{"an unknown output of inspect", "inspect IMAGE --output x", "neither", commandline.Usage},
		{"why not", "images IMAGE --why nothing:v1", "nothing:v1 is not in the artifact", commandline.Failed},
		{"why what", "images IMAGE --why A::b", "A::b", commandline.Usage},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			words := strings.Fields(c.line)
			for i, word := range words {
				words[i] = strings.ReplaceAll(word, "IMAGE", image)
			}
			stdout, stderr, code := call(t, "", words...)
			if code != c.code || !strings.Contains(stderr, c.want) {
				t.Errorf("exit code %d, want %d, with %q in:\n%s", code, c.code, c.want, stderr)
			}
			if stdout != "" || strings.Contains(stderr, "s3cret") || strings.Count(stderr, "\n") != 1 {
				t.Errorf("prints %q and\n%s", stdout, stderr)
			}
		})
	}
}

// wantVersion fails unless a document has the version 1.
func wantVersion(t *testing.T, document string) {
	t.Helper()
	var versioned struct{ Version int }
	if err := json.Unmarshal([]byte(document), &versioned); err != nil || versioned.Version != 1 {
		t.Errorf("got version %d, %v, want 1 in\n%s", versioned.Version, err, document)
	}
}

func TestInspect(t *testing.T) {
	image := layout(t)
	stdout, stderr, code := call(t, "", "inspect", image, "--output", "json")
	var s summary
	if err := json.Unmarshal([]byte(stdout), &s); err != nil || code != 0 {
		t.Fatal(err, code, stderr)
	}
	noNull(t, stdout)
	if s.Kind != imagespec.KindCluster || s.KubernetesVersion != "v1.34.4" || s.RootfsLayers != 1 || s.ImageLayers != 0 || s.Source != "OCI layout" {
		t.Errorf("got %+v", s)
	}
	wantVersion(t, stdout)
	const size = "rootfs      1 layers, 2.0 kB: for every host\nimages      0 in 0 layers, 0 B: for the masters\n"
	if stdout, _, code := call(t, "", "inspect", image); code != 0 || !strings.Contains(stdout, "v1.34.4") || !strings.Contains(stdout, size) {
		t.Errorf("exit code %d:\n%s", code, stdout)
	}
	if stdout, _, code := call(t, "", "images", image); code != 0 || stdout != "" {
		t.Errorf("an image without images lists %q", stdout)
	}
}

func TestVersion(t *testing.T) {
	stdout, stderr, code := call(t, "", "version")
	if want := fmt.Sprintf("%sagent:    protocol %d\n", version.Get(), wire.Protocol); code != 0 || stderr != "" || stdout != want {
		t.Errorf("got status %d, stderr %q and\n%s\nwant\n%s", code, stderr, stdout, want)
	}
	stdout, _, code = call(t, "", "version", "-o", "json")
	var got struct {
		version.Info
		AgentProtocol int
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 {
		t.Fatalf("got status %d, %v:\n%s", code, err, stdout)
	}
	if got.Info != version.Get() || got.AgentProtocol != wire.Protocol {
		t.Errorf("got %+v, want %+v and protocol %d", got, version.Get(), wire.Protocol)
	}
}

func TestPasswords(t *testing.T) {
	t.Setenv("SEALER_PASSWD", "")
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("XDG_STATE_HOME", dir)
	t.Setenv("XDG_CONFIG_HOME", dir)
	image := layout(t)
	// Nothing listens at this address' port 1: what counts is what is said before and with it.
	args := []string{image, "-m", "127.0.0.1", "--port", "1", "--dry-run"}
	_, stderr, _ := call(t, "", append(args, "-p", "s3cret")...)
	if !strings.Contains(stderr, "SEALER_PASSWD") || strings.Contains(stderr, "s3cret") {
		t.Errorf("a password in the arguments gives\n%s", stderr)
	}
	if _, stderr, code := call(t, "", append(args, "-p", "-")...); code != commandline.Failed || !strings.Contains(stderr, "nothing was entered") {
		t.Errorf("no password on the standard input gives %d\n%s", code, stderr)
	}
	if _, stderr, code := call(t, "s3cret\n", append(args, "-p", "-")...); code != commandline.Failed || !strings.Contains(stderr, "127.0.0.1") {
		t.Errorf("a host that does not answer gives %d\n%s", code, stderr)
	}
}

// A password that has to be asked for cannot come from an input that is the Clusterfile.
func TestPromptBesideAClusterfileFromTheInput(t *testing.T) {
	file := "apiVersion: sealer.cloud/v2\nkind: Cluster\nmetadata: {name: c}\n" +
		"spec: {image: " + layout(t) + ", ssh: {passwd: prompt}, hosts: [{ips: [10.0.0.1], roles: [master]}]}\n"
	if _, stderr, code := call(t, file, "plan", "-f", "-"); code != commandline.Failed || !strings.Contains(stderr, "env:NAME or file:PATH") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
}

// gen prints what apply reads, and no password.
func TestGenIsWhatTheFlagsSay(t *testing.T) {
	t.Setenv("SEALER_PASSWD", "s3cret")
	image := layout(t)
	flags := []string{image, "-m", "10.0.0.1-10.0.0.3", "-n", "fd00::1,10.0.0.9", "-u", "admin", "--port", "2222", "--pk", "/k", "--cluster-name", "c",
		"-e", "A=1", "-e", "docker-dir=/d", "-e", "A=2", "--cmd", "kubectl get nodes", "--cmd-args", "X=y", "--app", "web", "--data-root", "/data"}
	stdout, stderr, code := call(t, "", append([]string{"gen"}, flags...)...)
	if code != 0 || strings.Contains(stdout, "s3cret") {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	got, err := clusterfile.Parse("gen", []byte(stdout))
	if err != nil {
		t.Fatal(err)
	}
	c := got.Cluster
	if c.Image != image || c.Name != "c" || len(c.Hosts) != 5 || c.Hosts[4].Address.String() != "10.0.0.9" || c.Hosts[2].Role != "master" ||
		c.Hosts[0].SSH != (format.SSH{User: "admin", Port: "2222", PK: "/k"}) || c.Env.Variables()["A"] != "1 2" ||
		c.Env.Variables()["docker-dir"] != "/d" || c.Cmd[0] != "kubectl get nodes" || c.CmdArgs.Variables()["X"] != "y" ||
		c.AppNames[0] != "web" || c.DataRoot != "/data" {
		t.Errorf("it says %+v", c)
	}
}

func TestGenKubeadm(t *testing.T) {
	file := filepath.Join(t.TempDir(), "Clusterfile")
	content := "apiVersion: sealer.cloud/v2\nkind: Cluster\nmetadata: {name: c}\nspec: {image: " + layout(t) + ", hosts: [{ips: [10.0.0.1], roles: [master]}]}\n" +
		"---\napiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterConfiguration\nnetworking: {podSubnet: 100.64.0.0/10}\n" +
		"---\nkind: InitConfiguration\nbootstrapTokens: [{token: s3cret.s3cret, ttl: 1h}]\ncertificateKey: s3cret\n"
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := call(t, "", "gen", "--kubeadm", "-f", file)
	if code != 0 || !strings.Contains(stdout, "podSubnet: 100.64.0.0/10") || !strings.Contains(stdout, "kubeadm.k8s.io/v1beta4") ||
		!strings.Contains(stdout, "kubernetesVersion: v1.34.4") || strings.Contains(stdout, "s3cret") || !strings.Contains(stdout, "ttl: 1h") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}

func TestGenSchema(t *testing.T) {
	stdout, stderr, code := call(t, "", "gen", "--schema")
	if code != 0 || stdout != string(format.Schema()) || !json.Valid([]byte(stdout)) {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if _, stderr, code := call(t, "", "gen", "--schema", "image:v1"); code != commandline.Usage || !strings.Contains(stderr, "takes no IMAGE and no other flags") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
}
