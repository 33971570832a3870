package runner

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/ask"
	"github.com/kubefile/kubefile/runner/clean"
	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/host/hosttest"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/source/sourcetest"
	"github.com/kubefile/kubefile/runner/status"
)

// testHost is a site with one master: an SSH server in this process, whose cluster's directory is the test's own. Tests reach it and ask, but
// nothing is changed there: it is the machine that they run on.
type testHost struct {
	Site
	server   *hosttest.Server
	progress *bytes.Buffer
	dir      string // of the cluster
	logs     string // directory of logs
	contacts int    // how often a key was seen first
}

func newTestHost(t *testing.T) *testHost {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "config"))
	t.Setenv("XDG_STATE_HOME", filepath.Join(home, "state"))
	h := &testHost{server: hosttest.New(t), progress: &bytes.Buffer{}, logs: filepath.Join(home, "state", "sealer-run")}
	h.server.Start(t, hosttest.Config{})
	root := hosttest.DataRoot(t)
	h.dir = filepath.Join(root, "test")
	file, err := clusterfile.Parse("Clusterfile", fmt.Appendf(nil, `apiVersion: sealer.io/v2
kind: Cluster
metadata: {name: test}
spec:
  image: x
  dataRoot: %s
  ssh: {user: %s, port: %d, pk: %s}
  hosts: [{ips: [%s], roles: [master]}]
`, root, h.server.User, h.server.Address.Port(), h.server.File("key"), h.server.Address.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	h.Site = Site{
		Clusterfile: file, Progress: h.progress, Secrets: &clusterfile.Secrets{},
		FirstContact: func(host.Host, string, string) error { h.contacts++; return nil },
	}
	return h
}

// program writes a program of the cluster's rootfs.
func (h *testHost) program(t *testing.T, name, text string) {
	t.Helper()
	dir := filepath.Join(h.dir, "rootfs", "bin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// log is what the only log has, which nobody else may read.
func (h *testHost) log(t *testing.T) string {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(h.logs, "test-*.log"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("got the logs %q (%v), want one", logs, err)
	}
	info, err := os.Stat(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the log has the mode %s, want 0600", info.Mode())
	}
	text, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// foreign is an architecture that this machine does not have, so that no test gets further than to look at it.
func foreign() string {
	if runtime.GOARCH == "s390x" {
		return "amd64"
	}
	return "s390x"
}

// appLayout is an application image in a directory of this name.
func appLayout(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	sourcetest.AppLayout(t, dir, []string{foreign()},
		sourcetest.Layer{Tar: sourcetest.Tar(t, sourcetest.Entry{Name: imagespec.RunnerPath, Content: "x", Mode: 0o755})})
	return dir
}

func clusterLayout(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	sourcetest.Layout(t, dir, []string{foreign()},
		sourcetest.Layer{Tar: sourcetest.Tar(t, sourcetest.Entry{Name: imagespec.RunnerPath, Content: "x", Mode: 0o755})})
	return dir
}

func fromForeign() source.Options {
	return source.Options{Platform: ocispec.Platform{OS: "linux", Architecture: foreign()}}
}

func wantError(t *testing.T, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", texts)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error does not have %q: %v", text, err)
		}
	}
}

// TestRunOfAnotherArchitecture: the cluster image comes first, whatever the order of the command line, and a host that it does not fit is
// left as it is.
func TestRunOfAnotherArchitecture(t *testing.T) {
	for name, opts := range map[string]Options{"run": {}, "dry run": {DryRun: true}} {
		t.Run(name, func(t *testing.T) {
			h := newTestHost(t)
			var out bytes.Buffer
			changes, err := Run(t.Context(), []string{appLayout(t, "app"), clusterLayout(t, "kubernetes")}, fromForeign(), h.Site, opts, &out)
			wantError(t, err, "Run preflight checks: nothing has been changed yet:", h.server.Address.Addr().String(), foreign())
			if changes > 0 || out.Len() > 0 {
				t.Errorf("it says that something was done: %s", &out)
			}
			if _, err := os.Stat(h.dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the cluster's directory is there: %v", err)
			}
			if h.contacts != 1 {
				t.Errorf("asked %d times about a new host, want once", h.contacts)
			}
			if !strings.Contains(h.progress.String(), "Check the cluster image") {
				t.Errorf("the progress is %s", h.progress)
			}
			if !opts.DryRun {
				if log := h.log(t); !strings.Contains(log, "Run preflight checks") {
					t.Errorf("the log is %s", log)
				}
			} else if _, err := os.Stat(h.logs); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a dry run writes a log: %v", err)
			}
		})
	}
}

// TestApplicationWithoutCluster: it says which image to bring up first.
func TestApplicationWithoutCluster(t *testing.T) {
	h := newTestHost(t)
	app := appLayout(t, "app")
	_, err := Run(t.Context(), []string{app}, fromForeign(), h.Site, Options{DryRun: true}, &bytes.Buffer{})
	wantError(t, err, app+" is an application image, and no cluster test runs on 127.0.0.1: bring up an image like kubernetes:v1.34 first")
}

// TestRunRefusesImages: before any host is reached.
func TestRunRefusesImages(t *testing.T) {
	for name, tt := range map[string]struct {
		images func(t *testing.T) []string
		file   func(*clusterfile.Clusterfile)
		want   string
	}{
		"one that is not there": {images: func(t *testing.T) []string {
			return []string{clusterLayout(t, "a"), filepath.Join(t.TempDir(), "none.tar")}
		}, want: "none.tar"},
		"two clusters":         {images: func(t *testing.T) []string { return []string{clusterLayout(t, "a"), clusterLayout(t, "b")} }, want: "only one image may contain Kubernetes"},
		"two of one directory": {images: func(t *testing.T) []string { return []string{appLayout(t, "redis"), appLayout(t, "redis")} }, want: "would both be installed in redis"},
		"unknown application": {
			images: func(t *testing.T) []string { return []string{appLayout(t, "redis")} },
			file:   func(f *clusterfile.Clusterfile) { f.Cluster.AppNames = []string{"web"} },
			want:   "appNames: the image has no application web, nor any other",
		},
		"no Cluster": {
			images: func(t *testing.T) []string { return []string{appLayout(t, "redis")} },
			file:   func(f *clusterfile.Clusterfile) { f.Cluster = nil },
			want:   "no document of kind Cluster",
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newTestHost(t)
			if tt.file != nil {
				tt.file(h.Clusterfile)
			}
			_, err := Run(t.Context(), tt.images(t), fromForeign(), h.Site, Options{}, &bytes.Buffer{})
			wantError(t, err, tt.want)
			if h.contacts != 0 {
				t.Error("a host was reached")
			}
		})
	}
}

// TestDeleteOfNothing: where no cluster is, nothing is removed, and that is an error which callers can tell.
func TestDeleteOfNothing(t *testing.T) {
	h := newTestHost(t)
	var out bytes.Buffer
	err := Delete(t.Context(), h.Site, Options{SkipPlugins: true}, &out)
	if !errors.Is(err, clean.ErrNoCluster) {
		t.Errorf("the error is %v, want %v", err, clean.ErrNoCluster)
	}
	wantError(t, err, "no cluster test below "+filepath.Dir(h.dir)+" on 127.0.0.1")
	if out.Len() > 0 {
		t.Errorf("it says that something is gone: %s", &out)
	}
	if log := h.log(t); !strings.Contains(log, "Look for the cluster on the hosts") {
		t.Errorf("the log is %s", log)
	}
}

// kubectl answers what Status and Used ask for.
const kubectl = `#!/bin/sh
case "$*" in
*"get nodes -o wide"*) echo "NAME STATUS"; echo "one Ready" ;;
*"get nodes -o jsonpath"*) printf '7\tone\t{"node-role.kubernetes.io/control-plane":""}\t\tTrue\tv1.34.4\t10.0.0.1\n' ;;
*"get pods"*) printf 'nginx:1\ndocker.io/library/nginx:1\nquay.io/a/other:2\n' ;;
esac
`

// TestStatus: the nodes, and what the registry served.
func TestStatus(t *testing.T) {
	h := newTestHost(t)
	h.program(t, "kubectl", kubectl)
	got, err := Status(t.Context(), h.Site)
	if err != nil {
		t.Fatal(err)
	}
	want := &status.Status{
		Version: 1, Cluster: "test", Table: "NAME STATUS\none Ready\n", Served: []string{}, Missed: []string{},
		Nodes: []status.NodeStatus{{Name: "one", Ready: true, Roles: []string{"control-plane"}, Version: "v1.34.4", Address: "10.0.0.1"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestHostWithoutCluster: every command that only asks says that nothing is there, and what to run.
func TestHostWithoutCluster(t *testing.T) {
	h := newTestHost(t)
	_, statusErr := Status(t.Context(), h.Site)
	_, _, usedErr := Used(t.Context(), h.Site, imagespec.NewLock())
	for name, err := range map[string]error{
		"Status": statusErr, "Used": usedErr, "Kubeconfig": Kubeconfig(t.Context(), h.Site, &bytes.Buffer{}),
	} {
		var unavailable *ask.UnavailableError
		if !errors.As(err, &unavailable) || unavailable.Why != ask.NoCluster || unavailable.Host != "127.0.0.1" || unavailable.Cluster != "test" {
			t.Errorf("%s: the error is %v", name, err)
			continue
		}
		wantError(t, err, "127.0.0.1: has no cluster test", h.dir, "sealer-run IMAGE -m 127.0.0.1")
	}
}

// TestUsed: images of pods, by their full names, against a lock.
func TestUsed(t *testing.T) {
	h := newTestHost(t)
	h.program(t, "kubectl", kubectl)
	lock := imagespec.NewLock()
	lock.Images = []imagespec.LockedImage{{Reference: "docker.io/library/nginx:1"}, {Reference: "docker.io/library/redis:7"}}
	used, unused, err := Used(t.Context(), h.Site, lock)
	if err != nil {
		t.Fatal(err)
	}
	want := []status.Use{{Reference: "docker.io/library/nginx:1", Pods: 2, Embedded: true}, {Reference: "quay.io/a/other:2", Pods: 1}}
	if !reflect.DeepEqual(used, want) {
		t.Errorf("got %+v, want %+v", used, want)
	}
	if !reflect.DeepEqual(unused, []string{"docker.io/library/redis:7"}) {
		t.Errorf("got %q as unused, want docker.io/library/redis:7", unused)
	}
}

// TestUsedOfManyPods: what the pods of a large cluster name is more than one answer of a host may be.
func TestUsedOfManyPods(t *testing.T) {
	h := newTestHost(t)
	h.program(t, "kubectl", `#!/bin/sh
awk 'BEGIN { for (i = 0; i < 200000; i++) print "registry.example.com/team/application:" i % 4 }'
`)
	used, _, err := Used(t.Context(), h.Site, imagespec.NewLock())
	if err != nil {
		t.Fatal(err)
	}
	var want []status.Use
	for i := range 4 {
		want = append(want, status.Use{Reference: fmt.Sprintf("registry.example.com/team/application:%d", i), Pods: 50000})
	}
	if !reflect.DeepEqual(used, want) {
		t.Errorf("got %+v, want %+v", used, want)
	}
}

// TestKubeconfig: with the host's address, for whoever is not on a host.
func TestKubeconfig(t *testing.T) {
	h := newTestHost(t)
	h.server.Program(t, "cat", "#!/bin/sh\n[ \"$*\" = /etc/kubernetes/admin.conf ] || exec /bin/cat \"$@\"\necho 'server: https://apiserver.cluster.local:6443'\n")
	var out bytes.Buffer
	if err := Kubeconfig(t.Context(), h.Site, &out); err != nil {
		t.Fatal(err)
	}
	if want := "server: https://127.0.0.1:6443\n"; out.String() != want {
		t.Errorf("got %q, want %q", &out, want)
	}
}

// TestHostsThatDoNotAnswer: the error says so, for every command that only asks.
func TestHostsThatDoNotAnswer(t *testing.T) {
	h := newTestHost(t)
	h.server.Stop()
	_, statusErr := Status(t.Context(), h.Site)
	_, _, usedErr := Used(t.Context(), h.Site, imagespec.NewLock())
	for name, err := range map[string]error{
		"Status": statusErr, "Used": usedErr, "Kubeconfig": Kubeconfig(t.Context(), h.Site, &bytes.Buffer{}),
		"Delete": Delete(t.Context(), h.Site, Options{DryRun: true}, &bytes.Buffer{}),
	} {
		if err == nil || !strings.Contains(err.Error(), "no host answers") {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
	if !strings.Contains(h.progress.String(), "127.0.0.1: ") {
		t.Errorf("the progress does not say why: %s", h.progress)
	}
}

// TestCommandsWithoutCluster: each asks for the document that names the hosts.
func TestCommandsWithoutCluster(t *testing.T) {
	site := Site{Clusterfile: &clusterfile.Clusterfile{}, Progress: &bytes.Buffer{}, Secrets: &clusterfile.Secrets{}}
	_, statusErr := Status(t.Context(), site)
	_, _, usedErr := Used(t.Context(), site, imagespec.NewLock())
	for name, err := range map[string]error{
		"Status": statusErr, "Used": usedErr, "Delete": Delete(t.Context(), site, Options{}, &bytes.Buffer{}),
		"Kubeconfig": Kubeconfig(t.Context(), site, &bytes.Buffer{}),
		"Kubeadm":    Kubeadm(t.Context(), "none", source.Options{}, site, &bytes.Buffer{}),
	} {
		if err == nil || !strings.Contains(err.Error(), "no document of kind Cluster") {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
}

// TestLogsNeedAPlace: without one, nothing is done.
func TestLogsNeedAPlace(t *testing.T) {
	h := newTestHost(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_STATE_HOME", file)
	wantError(t, Delete(t.Context(), h.Site, Options{}, &bytes.Buffer{}), "making a place for the log")
	t.Setenv("XDG_STATE_HOME", "")
	t.Setenv("HOME", "")
	wantError(t, Delete(t.Context(), h.Site, Options{}, &bytes.Buffer{}), "finding a place for the log")
	if h.contacts != 0 {
		t.Error("a host was reached")
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	h.logs = filepath.Join(home, ".local", "state", "sealer-run")
	wantError(t, Delete(t.Context(), h.Site, Options{}, &bytes.Buffer{}), clean.ErrNoCluster.Error())
	h.log(t)
}

// TestEnvironmentOfTheCommandLine: a mistake in it is one before any host is reached.
func TestEnvironmentOfTheCommandLine(t *testing.T) {
	h := newTestHost(t)
	h.Env = []string{"no variable"}
	_, err := Status(t.Context(), h.Site)
	wantError(t, err, "write it as name=value")
	if h.contacts != 0 {
		t.Error("a host was reached")
	}
}
