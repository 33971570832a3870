package phase

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/ask"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/status"
)

// questions are the commands that only ask a cluster.
func questions(p *park) map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{
		"status": func(ctx context.Context) error { _, err := status.Look(ctx, &p.Session, &p.Store); return err },
		"images --from-cluster": func(ctx context.Context) error {
			_, _, err := status.Used(ctx, &p.Session, &p.Store, imagespec.NewLock())
			return err
		},
		"kubeconfig": func(ctx context.Context) error { return status.Kubeconfig(ctx, &p.Session, &p.Store, &bytes.Buffer{}) },
	}
}

// asked is a site as a command finds it that only asks, whose API answers about nodes and pods. bare: nothing was ever installed.
func asked(t *testing.T, bare bool, masters, nodes int, found func(p *park)) *park {
	t.Helper()
	p, _ := untouched(t, artifact(t), authority(t), masters, nodes).again(t, 1<<40, func() {})
	if !bare {
		p = brought(t, masters, nodes)
	}
	found(p)
	next, _ := p.again(t, 1<<40, func() {})
	if err := next.recall(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, f := range next.machines {
		f.argvs = nil
		f.answer = func(cmd host.Command, _ string) (string, int) {
			switch {
			case !strings.HasSuffix(cmd.Argv[0], "/kubectl"):
				return "", 0
			case !f.has(execute.AdminConfig):
				return "no such file or directory", 1
			case slices.Contains(cmd.Argv, "pods"):
				return `{"items":[{"spec":{"containers":[{"image":"nginx:1"},{"image":"docker.io/library/nginx:1"}]}}]}`, 0
			case slices.Contains(cmd.Argv, "wide"):
				return "NAME STATUS\n", 0
			}
			return next.nodeList(), 0
		}
	}
	return next
}

// checkUnavailable checks that the error of a question has the reason, and the words.
func checkUnavailable(t *testing.T, question string, err error, why ask.Unavailable, words []string) {
	t.Helper()
	var got *ask.UnavailableError
	if !errors.As(err, &got) {
		t.Errorf("%s: the error is %v, want an UnavailableError", question, err)
		return
	}
	if got.Why != why || got.Host != "10.0.0.1" || got.Cluster != "default" {
		t.Errorf("%s: got %+v, want the reason %s", question, got, why)
	}
	for _, want := range words {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error lacks %q: %v", question, want, err)
		}
	}
}

// Every command that only asks a cluster says what it found on the host, and what to run next. It never uses the API or the credentials of
// another cluster.
func TestClusterThatCannotBeAsked(t *testing.T) {
	nothing := func(*park) {}
	for _, tt := range []struct {
		name   string
		bare   bool
		found  func(p *park)
		Change func(p *park) // what is known of the hosts
		why    ask.Unavailable
		want   []string
		config bool // the kubeconfig can be had anyway
	}{
		{name: "a bare host", bare: true, found: nothing, why: ask.NoCluster,
			want: []string{"10.0.0.1: has no cluster default", "/var/lib/sealer/data/default", "--cluster-name and --data-root", "sealer-run IMAGE -m 10.0.0.1"}},
		{name: "a cluster of another name", bare: true, found: nothing,
			Change: func(p *park) { p.First().Facts.ClusterDir = execute.DefaultDataRoot + "/other" }, why: ask.AnotherCluster,
			want: []string{"10.0.0.1: belongs to the cluster in /var/lib/sealer/data/other", "--cluster-name other; otherwise"}},
		{name: "another data root", bare: true, found: nothing,
			Change: func(p *park) { p.First().Facts.ClusterDir = "/data/default" }, why: ask.AnotherCluster,
			want: []string{"10.0.0.1: belongs to the cluster in /data/default", "--cluster-name default --data-root /data;"}},
		{name: "a Kubernetes of others", bare: true, found: func(p *park) {
			p.machines[0].files[execute.KubeletConfig], p.machines[0].files[execute.AdminConfig] = authority(t), "users: [{name: theirs}]"
		}, why: ask.AnotherCluster, want: []string{"10.0.0.1: is in another Kubernetes cluster (API https://10.0.0.1:6443)", "name a master of cluster default with -m"}},
		{name: "a host that went to another cluster", found: nothing, Change: func(p *park) { p.First().Facts.Kubelet.Server = "https://192.168.9.9:6443" },
			why: ask.AnotherCluster, want: []string{"10.0.0.1: is in another Kubernetes cluster (API https://192.168.9.9:6443)", "name a master of cluster default with -m"}},
		{name: "a record of another cluster", found: nothing, Change: func(p *park) { p.First().Owner.ID = "another" },
			why: ask.AnotherCluster, want: []string{"10.0.0.1: /var/lib/sealer/data/default belongs to another cluster", `ID "another"`, "with -m"}},
		{name: "an installation that was interrupted", found: func(p *park) {
			p.machines[0].remove("kubelet.conf", "admin.conf", "etcd.yaml", "snap/db", execute.InitMarker)
		}, why: ask.Unfinished, want: []string{"10.0.0.1: the installation of cluster default did not finish", "again to resume it", "sealer-run delete --all"}},
		{name: "a node in place of a master", found: func(p *park) { p.machines[0].remove("admin.conf", execute.InitMarker) },
			why: ask.NoMaster, want: []string{"10.0.0.1: is a node of cluster default", "name a master with -m"}},
		{name: "an API that is down", found: func(p *park) { p.world.down = true }, why: ask.NoAnswer, config: true,
			want: []string{"10.0.0.1: its API server does not answer as it should: connection refused", "crictl ps -a", "journalctl -u kubelet -n 50"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := asked(t, tt.bare, 1, 0, tt.found)
			if tt.Change != nil {
				tt.Change(p)
			}
			for name, question := range questions(p) {
				err := question(t.Context())
				if name == "kubeconfig" && tt.config {
					if err != nil {
						t.Errorf("%s: %v", name, err)
					}
					continue
				}
				checkUnavailable(t, name, err, tt.why, tt.want)
			}
			argvs := strings.Join(p.machines[0].argvs, "\n")
			if secrets := strings.Contains(argvs, "kubectl") || strings.Contains(argvs, "cat "+execute.AdminConfig); secrets && tt.why == ask.AnotherCluster {
				t.Errorf("another cluster was asked:\n%s", argvs)
			}
		})
	}
}

// Without a master among the hosts that answer there is nothing to ask.
func TestNoMasterToAsk(t *testing.T) {
	p := asked(t, false, 1, 1, func(*park) {})
	p.without(0)
	for name, question := range questions(p) {
		if err := question(t.Context()); !errors.Is(err, ask.ErrNoMaster) || !strings.Contains(err.Error(), "with -m") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A run that is interrupted says so, and does not blame the host.
func TestQuestionThatIsInterrupted(t *testing.T) {
	p := asked(t, false, 1, 0, func(*park) {})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, question := range questions(p) {
		if err := question(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// As long as one master answers, the others are named in a warning.
func TestAnyMasterIsAsked(t *testing.T) {
	p := asked(t, false, 3, 0, func(*park) {})
	p.Members[1].Facts.Kubelet.Server, p.Members[1].Facts.Kubelet.Authority = "https://192.168.9.9:6443", nil
	p.machines[0].answer = func(cmd host.Command, _ string) (string, int) {
		if !strings.HasSuffix(cmd.Argv[0], "/kubectl") {
			return "", 0
		}
		return "E1 memcache.go: connect\nThe connection to the server \x1b[31mapiserver.cluster.local:6443 was refused", 1
	}
	for _, name := range []string{"status", "images --from-cluster"} {
		p.out.Reset()
		if err := questions(p)[name](t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range []string{
			"warning: 10.0.0.1: its API server does not answer as it should: The connection to the server [31mapiserver.cluster.local:6443 was refused; ",
			"warning: 10.0.0.2: is in another Kubernetes cluster",
		} {
			if !strings.Contains(p.out.String(), want) {
				t.Errorf("%s lacks %q:\n%s", name, want, p.out)
			}
		}
	}
}

// The status is a document with a version, without null.
func TestStatusDocument(t *testing.T) {
	p := asked(t, false, 1, 1, func(*park) {})
	list := `{"items":[
		{"metadata":{"name":"h2"},"status":{"conditions":[{"type":"Ready","status":"Unknown"}]}},
		{"metadata":{"name":"h1","labels":{"node-role.kubernetes.io/control-plane":""}},"status":{"conditions":[{"type":"Ready","status":"True"}],
			"nodeInfo":{"kubeletVersion":"v1.34.4"},"addresses":[{"type":"Hostname","address":"h1"},{"type":"InternalIP","address":"10.0.0.1"}]}}]}`
	answer := p.machines[0].answer
	p.machines[0].answer = func(cmd host.Command, stdin string) (string, int) {
		if slices.Contains(cmd.Argv, "nodes") && !slices.Contains(cmd.Argv, "wide") {
			return list, 0
		}
		return answer(cmd, stdin)
	}
	found, err := status.Look(t.Context(), &p.Session, &p.Store)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.MarshalIndent(found, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "status.json", append(encoded, '\n'))
	if found.Table != "NAME STATUS\n" {
		t.Errorf("the table is %q", found.Table)
	}
	list = `{"items":[]}`
	if found, err = status.Look(t.Context(), &p.Session, &p.Store); err != nil {
		t.Fatal(err)
	}
	if encoded := encode(found); strings.Contains(encoded, "null") {
		t.Errorf("a cluster of which nothing is known is %s", encoded)
	}
	p.machines[0].answer = func(cmd host.Command, _ string) (string, int) { return "", 0 }
	used, unused, err := status.Used(t.Context(), &p.Session, &p.Store, imagespec.NewLock())
	if encoded := encode([]any{used, unused}); err != nil || encoded != "[[],[]]" {
		t.Errorf("without pods: %s, %v", encoded, err)
	}
}

// What another cluster's record says is in the error, for callers that want it.
func TestUnavailableErrorHasItsCause(t *testing.T) {
	p := asked(t, false, 1, 0, func(*park) {})
	p.First().Owner.ID = "another"
	_, err := status.Look(t.Context(), &p.Session, &p.Store)
	var other *hostrecord.OtherClusterError
	if !errors.As(err, &other) || other.Have.ID != "another" {
		t.Errorf("got %v", err)
	}
}
