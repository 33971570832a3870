package phase

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubefile/kubefile/registryproxy"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/health/healthtest"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/join"
	"github.com/kubefile/kubefile/runner/kube"
	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/source/sourcetest"
	"github.com/kubefile/kubefile/runner/status"
)

// largeCluster is as large as what the API has of n nodes: a kubelet reports up to 50 images, each with its names.
func largeCluster(n int) string {
	var items []any
	for i := range n {
		var images []any
		for k := range 50 {
			images = append(images, map[string]any{"sizeBytes": 123456789, "names": []string{
				fmt.Sprintf("registry.example.com/some/project/component-%d@sha256:%064d", k, i),
				fmt.Sprintf("registry.example.com/some/project/component-%d:v1.34.%d", k, k),
			}})
		}
		var conditions []any
		for _, typ := range []string{"MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable", "Ready"} {
			conditions = append(conditions, map[string]string{"type": typ, "status": "True", "message": "kubelet has sufficient memory available"})
		}
		items = append(items, map[string]any{
			"metadata": map[string]any{
				"name": fmt.Sprintf("h%d", i+1), "resourceVersion": "7", "uid": "11111111-1111-1111-1111-111111111111",
				"labels": map[string]string{"kubernetes.io/hostname": fmt.Sprintf("h%d", i+1), "kubernetes.io/os": "linux", "note": `quoted "and" \`},
			},
			"spec": map[string]any{"podCIDR": "10.244.0.0/24", "taints": []any{
				map[string]string{"key": "a", "value": "b", "effect": "NoSchedule"}, map[string]string{"key": "c", "effect": "NoExecute"},
			}},
			"status": map[string]any{"conditions": conditions, "images": images},
		})
	}
	return `{"items":` + encode(items) + `}`
}

// What one command prints is limited; whole objects of 200 nodes are more.
func TestNodeListOfLargeCluster(t *testing.T) {
	const n = 500
	p := newPark(t, 1, 0).joined(1)
	text, printed := largeCluster(n), 0
	p.machines[0].answer = func(cmd host.Command, _ string) (string, int) {
		printed = len(healthtest.Formatted(t, cmd.Argv, text))
		return text, 0
	}
	nodes, err := p.Kube().Nodes(t.Context())
	if err != nil || len(nodes) != n || printed > n*500 {
		t.Fatalf("%d nodes in %d bytes, %v", len(nodes), printed, err)
	}
	one := nodes["h7"]
	want := kube.Node{}
	want.Metadata.Name, want.Metadata.ResourceVersion = "h7", "7"
	want.Metadata.Labels = map[string]string{"kubernetes.io/hostname": "h7", "kubernetes.io/os": "linux", "note": `quoted "and" \`}
	want.Spec.Taints = []kube.Taint{{Key: "a", Value: "b", Effect: "NoSchedule"}, {Key: "c", Effect: "NoExecute"}}
	if !maps.Equal(one.Metadata.Labels, want.Metadata.Labels) || !slices.Equal(one.Spec.Taints, want.Spec.Taints) || !one.Ready() ||
		one.Metadata.Name != want.Metadata.Name || one.Metadata.ResourceVersion != want.Metadata.ResourceVersion {
		t.Errorf("a node is %+v, want %+v", one, want)
	}
}

func TestNodeListThatIsNone(t *testing.T) {
	for _, text := range []string{"7\th1\t{\t\tTrue\n", "7\th1\t\t[{]\tTrue\n", "h1\n"} {
		p := newPark(t, 1, 0).joined(1)
		p.machines[0].answer = func(host.Command, string) (string, int) { return text, 0 }
		if nodes, err := p.Kube().Nodes(t.Context()); err == nil {
			t.Errorf("%q is taken for %v", text, nodes)
		}
	}
}

// Labels for each of many nodes take one list, and one patch a node.
func TestLabelingAsksOnce(t *testing.T) {
	const n = 40
	p := newPark(t, 1, n-1).joined(n)
	text := largeCluster(n)
	p.machines[0].answer = func(host.Command, string) (string, int) { return text, 0 }
	for _, m := range p.Members {
		m.Site.Labels = map[string]string{"disk": "ssd"}
		m.Site.Taints = []plugin.TaintChange{{Key: "x", Effect: "NoSchedule"}}
	}
	if err := (&join.LabelNodes{Session: &p.Session}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	lists, patches := 0, 0
	for _, line := range p.machines[0].ran {
		if strings.Contains(line, " get ") {
			lists++
		}
		if strings.Contains(line, " patch node ") {
			patches++
		}
	}
	if lists != 1 || patches != n {
		t.Errorf("%d questions and %d patches, want 1 and %d", lists, patches, n)
	}
}

// gaugePatience is how long a host waits for others.
const gaugePatience = 5 * time.Second

// gauge counts how many hosts are asked at the same time. A host that is asked waits for others, up to the number that is hoped for.
type gauge struct {
	mu      sync.Mutex
	want    int
	now     int
	most    int
	reached chan struct{}
}

// enter waits until as many as are hoped for are in it, once, or until the test ends.
func (g *gauge) enter(ctx context.Context) {
	g.mu.Lock()
	g.now++
	if g.now > g.most {
		g.most = g.now
		if g.most == g.want {
			close(g.reached)
		}
	}
	g.mu.Unlock()
	select {
	case <-g.reached:
	case <-ctx.Done():
	case <-time.After(gaugePatience): // there are too few, and the test says so
	}
	g.mu.Lock()
	g.now--
	g.mu.Unlock()
}

type gauged struct {
	host.Conn
	gauge *gauge
}

func (g gauged) Run(ctx context.Context, cmd host.Command) error {
	g.gauge.enter(ctx)
	return g.Conn.Run(ctx, cmd)
}

// Steps ask their hosts side by side, as many as are worked on at once.
func TestHostsAreAskedSideBySide(t *testing.T) {
	for name, step := range map[string]func(p *park) error{
		"plugins": func(p *park) error {
			p.image.Plugins = []plugin.Plugin{newPlugin(t, "p", "SHELL", "PostInstall", "", "x")}
			p.DryRun = true
			return p.runPlugins(plugin.PostInstall).Run(t.Context())
		},
		"records": func(p *park) error {
			_, err := status.Recorded(t.Context(), &p.Session, registryproxy.ServedFile)
			return err
		},
		"removal":   func(p *park) error { return p.loadInstructions().Run(t.Context()) },
		"leftovers": func(p *park) error { return p.verifyCleanup().Run(t.Context()) },
		"balancer":  func(p *park) error { return p.apiProxy().Run(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPark(t, 1, 40).joined(41)
			g := &gauge{want: execute.MaxHosts, reached: make(chan struct{})}
			for _, m := range p.Members[1:] {
				m.Conn = gauged{m.Conn, g}
				m.Image.Conn = m.Conn
			}
			if err := step(p); err != nil {
				t.Fatal(err)
			}
			if g.most < execute.MaxHosts {
				t.Errorf("%d hosts are asked at a time, want %d", g.most, execute.MaxHosts)
			}
		})
	}
}

// A large cluster has files of each host in memory only where they differ.
func TestHostsShareTheContentOfFiles(t *testing.T) {
	p := newPark(t, 1, 2)
	p.Artifact = artifact(t, sourcetest.Entry{Name: "etc/same.tmpl", Content: "{{ .KUBEFILE_CLUSTER }}"}, sourcetest.Entry{Name: "etc/own.tmpl", Content: "{{ .HOST_IP }}"})
	if err := (&adaptImage{p.Cluster}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	one, other := p.image.Overlays[p.Members[1]], p.image.Overlays[p.Members[2]]
	if &one["etc/same"].Content[0] != &other["etc/same"].Content[0] {
		t.Error("two hosts have the same file in memory twice")
	}
	if got, want := string(one["etc/own"].Content)+" "+string(other["etc/own"].Content), "10.0.0.2 10.0.0.3"; got != want {
		t.Errorf("hosts have %q, want %q", got, want)
	}
}
