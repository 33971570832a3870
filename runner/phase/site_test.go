package phase

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/command"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/reach"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/source/sourcetest"
	"github.com/kubefile/kubefile/runner/state"
	"github.com/kubefile/kubefile/runner/store"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares with testdata/name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("not as in %s:\n%s", file, got)
	}
}

// answers is a host that answers commands from a function, and remembers them.
type answers struct {
	host   host.Host
	answer func(cmd host.Command) (stdout string, code int)

	mu    sync.Mutex
	asked []string
}

func (a *answers) Host() host.Host { return a.host }
func (a *answers) Close() error    { return nil }

func (a *answers) Run(ctx context.Context, cmd host.Command) error {
	a.mu.Lock()
	a.asked = append(a.asked, strings.Join(cmd.Argv, " "))
	a.mu.Unlock()
	stdout, code := a.answer(cmd)
	if code != 0 {
		return &host.ExitError{Host: a.host.String(), Name: cmd.Argv[0], Code: code, Stderr: "as the test wants it"}
	}
	if cmd.Stdout == nil {
		return ctx.Err()
	}
	_, err := io.WriteString(cmd.Stdout, stdout)
	return errors.Join(err, ctx.Err())
}

// site is a cluster of one master, 10.0.0.1, and nodes.
func site(t *testing.T, nodes int, answer func(cmd host.Command) (string, int)) *Cluster {
	t.Helper()
	c := &Cluster{Session: execute.Session{Name: "default", DataRoot: execute.DefaultDataRoot, Report: report.New(io.Discard)}, Site: bareSite(), Store: store.Store{State: state.New("default")}}
	for i := range nodes + 1 {
		h := host.Host{Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), Role: host.RoleNode}
		if i == 0 {
			h.Role = host.RoleMaster
		}
		m := c.Add(&c.Session, host.Report{Host: h, Conn: &answers{host: h, answer: answer}, Facts: &host.Facts{Hostname: "H" + string(rune('1'+i))}})
		m.IsNew, m.Absent = true, true
		c.Hosts = append(c.Hosts, reach.Host{Login: h, Site: clusterfile.Host{Address: h.Address, Role: h.Role}})
	}
	c.settleNames()
	return c
}

// bareSite is a site that says nothing of its own.
func bareSite() *clusterfile.Clusterfile {
	return &clusterfile.Clusterfile{Cluster: &clusterfile.Cluster{Name: "default"}}
}

// artifact is a small cluster image with two commands, and with more files if there are.
func artifact(t *testing.T, files ...sourcetest.Entry) *source.Artifact {
	t.Helper()
	dir := t.TempDir()
	rootfs := []sourcetest.Entry{{Name: ".kubefile/sealer-run", Content: "the runner", Mode: 0o755}, {Name: "scripts/init.sh", Content: "true"}}
	sourcetest.Layout(t, dir, []string{"amd64"},
		sourcetest.Layer{Tar: sourcetest.Tar(t, append(rootfs, files...)...)},
		sourcetest.Layer{Images: true, Tar: sourcetest.Tar(t, sourcetest.Embedded(t, map[string]string{"quay.io/a/b:1": "content"})...)},
	)
	a, err := source.Open(t.Context(), dir, source.Options{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	a.Name = "app:v1"
	a.Description.Env = []string{"A=image", "B=image", "HOST_IP=image"}
	a.Description.Commands = []imagespec.Command{{Shell: "kubectl apply -f first.yaml"}, {Exec: []string{"helm", "install", "second"}}}
	return a
}

// bare answers as a host on which there is nothing, and is told of what would change it.
func bare(t *testing.T) func(cmd host.Command) (string, int) {
	return func(cmd host.Command) (string, int) {
		switch {
		case isFactsQuestion(cmd.Argv):
			return usualFacts + "end\tfacts\n", 0
		case cmd.Argv[0] == "cat" && cmd.Argv[1] == execute.HostsFile:
			return "127.0.0.1 localhost\n", 0
		case cmd.Argv[0] == "test", cmd.Argv[0] == "systemctl" && cmd.Argv[1] == "is-active",
			cmd.Argv[0] == "sh" && (strings.HasPrefix(cmd.Argv[2], "test ") || strings.Contains(cmd.Argv[2], "sha256sum -c")):
			return "", 1
		}
		t.Errorf("called %q", cmd.Argv)
		return "", 1
	}
}

func TestDryRunOnBareHosts(t *testing.T) {
	c := site(t, 2, bare(t))
	c.Artifact, c.DryRun = artifact(t), true
	var progress bytes.Buffer
	c.Report = report.New(&progress)
	phases := Bringup(c)
	if err := Perform(t.Context(), c, append(phases[:1:1], phases[2:]...)); err != nil { // but for what reaches the hosts
		t.Fatal(err)
	}
	var text, encoded bytes.Buffer
	if err := errors.Join(report.WritePlan(&text, false, c.Report), report.WritePlan(&encoded, true, c.Report)); err != nil {
		t.Fatal(err)
	}
	golden(t, "plan.txt", text.Bytes())
	for _, a := range c.Report.Changes() {
		if strings.Contains(progress.String(), a.Host+": "+a.What+"\n") {
			t.Errorf("the progress repeats what the plan says: %s: %s", a.Host, a.What)
		}
	}
	if n := strings.Count(progress.String(), " (dry run)\n"); n != len(phases)-1 {
		t.Errorf("the progress has %d phases, want %d:\n%s", n, len(phases)-1, &progress)
	}
	golden(t, "plan.json", encoded.Bytes())
}

func TestEnvironmentPrecedence(t *testing.T) {
	c := site(t, 1, bare(t))
	c.Artifact, c.Env = artifact(t), environment.Set{"D": {"flag"}}
	c.Site.Cluster.Env = environment.Set{"B": {"cluster"}, "C": {"cluster"}, "D": {"cluster"}, "docker-dir": {"/c"}}
	m := c.Nodes()[0]
	m.Site.Env = environment.Set{"C": {"host"}, "D": {"host"}, "docker-dir": {"/d"}, "LIST": {"a", "b"}}
	c.Artifact.Description.Env = append(c.Artifact.Description.Env, "docker_dir=/image")
	env := c.environment(m).Variables()
	for name, want := range map[string]string{
		"A": "image", "B": "cluster", "C": "host", "D": "flag", "docker_dir": "/d", "docker-dir": "/d", "LIST": "a b",
		"HOST_IP": "10.0.0.2", "HOST_NAME": "h2", "HOST_ROLE": "node", "KUBEFILE_CLUSTER": "default",
		"KUBEFILE_ROOTFS": "/var/lib/sealer/data/default/rootfs", "API_ENDPOINT": "apiserver.cluster.local:6443",
		"REGISTRY_DOMAIN": "sea.hub", "REGISTRY_PORT": "5000",
	} {
		if env[name] != want {
			t.Errorf("%s is %q, want %q", name, env[name], want)
		}
	}
}

// A command that has run does not run again; the one that failed, and those after it, do.
func TestCommandsRunOnce(t *testing.T) {
	broken := true
	var ran []string
	c := site(t, 0, func(cmd host.Command) (string, int) {
		line := strings.Join(cmd.Argv, " ")
		if cmd.Argv[0] == wire.Path {
			return `{"changed":true}`, 0
		}
		ran = append(ran, line[strings.Index(line, hostrecord.WorkLock)+len(hostrecord.WorkLock)+1:])
		if cmd.Env["KUBECONFIG"] != execute.AdminConfig || cmd.Dir != "/var/lib/sealer/data/default/rootfs" {
			t.Errorf("%s runs in %s with KUBECONFIG=%s", line, cmd.Dir, cmd.Env["KUBECONFIG"])
		}
		if broken && strings.Contains(line, "helm") {
			return "", 1
		}
		return "", 0
	})
	c.Artifact = artifact(t)
	run := c.runCommands(command.Guests)
	err := run.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "10.0.0.1: run helm install second") || !strings.Contains(err.Error(), "as the test wants it") {
		t.Fatalf("the error is %v", err)
	}
	broken = false
	for range 2 {
		if err := run.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"sh -c kubectl apply -f first.yaml", "helm install second", "helm install second"}
	if strings.Join(ran, "\n") != strings.Join(want, "\n") {
		t.Errorf("ran %q, want %q", ran, want)
	}
}

func TestMembersOtherThanTheState(t *testing.T) {
	cases := []struct {
		name  string
		known state.Host
		want  string
	}{
		{"as known", state.Host{Address: netip.MustParseAddr("10.0.0.2"), Name: "h2", Role: "node"}, ""},
		{"not named now", state.Host{Address: netip.MustParseAddr("10.0.0.9"), Name: "h9", Role: "node"}, ""},
		{"another role", state.Host{Address: netip.MustParseAddr("10.0.0.2"), Name: "h2", Role: "master"}, "10.0.0.2 is already a master"},
		{"another name", state.Host{Address: netip.MustParseAddr("10.0.0.2"), Name: "old", Role: "node"}, ""},
		{"another name by a plugin", state.Host{Address: netip.MustParseAddr("10.0.0.1"), Name: "old", Role: "master"}, "a plugin names it m0"},
		{"a taken name", state.Host{Address: netip.MustParseAddr("10.0.0.9"), Name: "h2", Role: "node"}, "10.0.0.9"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cluster := site(t, 1, bare(t))
			cluster.State.Hosts = []state.Host{c.known}
			cluster.Members[0].Facts.Cluster = []string{execute.KubeletConfig}
			names, _, err := plugin.New("Clusterfile:1", "names", "HOSTNAME", "", "", "10.0.0.1 m0")
			if err != nil {
				t.Fatal(err)
			}
			cluster.Site.Plugins = []plugin.Plugin{names}
			cluster.settleNames()
			err = errors.Join((&remember{cluster}).mismatches()...)
			checkError(t, err, c.want)
		})
	}
}

// Nodes that have joined a cluster of another master are not taken for this one's.
func TestNodesOfAnotherMaster(t *testing.T) {
	c := site(t, 1, bare(t))
	c.Nodes()[0].Joined = true
	if err := c.membership().CheckNodes(); err == nil || !strings.Contains(err.Error(), "10.0.0.2 has joined a cluster") {
		t.Errorf("error is %v", err)
	}
	c.First().Joined = true
	if err := c.membership().CheckNodes(); err != nil {
		t.Error(err)
	}
}
