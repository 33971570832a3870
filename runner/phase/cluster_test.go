package phase

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubefile/kubefile/registryproxy"
	"github.com/kubefile/kubefile/runner/adapt"
	"github.com/kubefile/kubefile/runner/balancer"
	"github.com/kubefile/kubefile/runner/check/checklist"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/join"
	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/registry"
	"github.com/kubefile/kubefile/runner/source/layerfs"
	"github.com/kubefile/kubefile/runner/state"
	"github.com/kubefile/kubefile/runner/store"
)

// authority is a certificate of an authority, PEM.
func authority(t *testing.T) string {
	t.Helper()
	made, err := registryproxy.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := made.Pair()
	if err != nil {
		t.Fatal(err)
	}
	return string(pair.Certificate)
}

// watchJoins has the first master hand out invitations. It fails if two masters join at once, or certificates are uploaded without a key.
func (p *park) watchJoins(t *testing.T) {
	t.Helper()
	joining := make(chan string, 1)
	for _, f := range p.machines {
		f.answer = func(cmd host.Command, stdin string) (string, int) {
			switch {
			case slices.Contains(cmd.Argv, "token"):
				return "abcdef.s3cret0123456789\n", 0
			case slices.Contains(cmd.Argv, "upload-certs") && !strings.Contains(stdin, "certificateKey: "):
				t.Error("the certificates are uploaded without a key")
			case slices.Contains(cmd.Argv, "join") && f.host.Role == host.RoleMaster:
				select {
				case joining <- f.host.String():
					time.Sleep(10 * time.Millisecond)
					<-joining
				default:
					t.Error("two masters join at once")
				}
			}
			return "", 0
		}
	}
}

// Masters join one after the other, nodes at once; one invitation is enough for all; what is secret is on the standard input only.
func TestJoin(t *testing.T) {
	p := newPark(t, 3, 2).joined(1)
	p.Artifact = artifact(t)
	certificate := authority(t)
	for _, name := range []string{authorityFile, execute.KubeletConfig, execute.AdminConfig} {
		p.machines[0].files[name] = certificate
	}
	p.machines[0].files[p.Members[0].Path(execute.InitConfig)] = "kind: ClusterConfiguration\n"
	p.watchJoins(t)
	for range 2 { // the second time, nothing is left to do
		for _, one := range []Phase{p.joinMasters(), p.apiProxy(), p.joinNodes()} {
			if err := one.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(p.machines[0].calls(p.Members[0].Program("kubeadm") + " token create")); n != 2 {
		t.Errorf("%d tokens, want one for the masters and one for the nodes", n)
	}
	for _, call := range p.machines[0].calls(p.Members[0].Program("kubeadm") + " token create") {
		if !strings.Contains(call, "--ttl 1h10m0s") && !strings.Contains(call, "--ttl 30m0s") {
			t.Errorf("%s: want 30 minutes for nodes that join together, and 70 for three masters", call)
		}
	}
	for i, f := range p.machines[1:] {
		joins := f.calls(p.Members[0].Program("kubeadm") + " join")
		if len(joins) != 1 || !strings.HasSuffix(joins[0], "--config /dev/stdin") {
			t.Fatalf("%s: joins by %q", f.host, joins)
		}
		config := f.stdin[slices.Index(f.ran, joins[0])]
		if !strings.Contains(config, "token: abcdef.s3cret0123456789") || !strings.Contains(config, "name: h"+fmt.Sprint(i+2)) ||
			strings.Contains(config, "controlPlane") != (f.host.Role == host.RoleMaster) {
			t.Errorf("%s: joins with\n%s", f.host, config)
		}
	}
	for i, m := range p.Members[1:3] {
		if p.machines[i+1].files[m.Path(execute.InitConfig)] == "" {
			t.Errorf("%s does not know how kubeadm was configured", m)
		}
	}
	p.secretless(t, "s3cret")
}

// Every node balances over all masters, in an order that does not depend on who was named, and masters need no balancer.
func TestBalance(t *testing.T) {
	p := newPark(t, 2, 1).joined(3)
	p.State.Hosts = append(p.State.Hosts, state.Host{Address: netip.MustParseAddr("10.0.0.0"), Name: "m", Role: "master"},
		state.Host{Address: netip.MustParseAddr("10.0.0.9"), Name: "n", Role: "node"})
	for range 2 {
		if err := p.apiProxy().Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	node := p.machines[2]
	config, err := balancer.ParseConfig([]byte(node.files[p.Members[2].Path(balancer.ConfigFile)]))
	want := []string{"10.0.0.0:6443", "10.0.0.1:6443", "10.0.0.2:6443"}
	if err != nil || !slices.Equal(config.Backends, want) || !slices.Equal(config.Listen, []string{"127.0.0.1:6443"}) {
		t.Errorf("the balancer has %+v, %v", config, err)
	}
	if n := len(node.calls("systemctl restart")); n != 1 || len(p.machines[0].units)+len(p.machines[1].units) > 0 {
		t.Errorf("%d restarts", n)
	}
	if strings.Contains(p.out.String(), "warning") {
		t.Errorf("said %s", p.out)
	}
	// Another master: nodes follow, and those that were not named are told of.
	p.State.Hosts = slices.DeleteFunc(p.State.Hosts, func(h state.Host) bool { return h.Address == p.Members[1].Host.Address })
	p.Members[1].Host.Address = netip.MustParseAddr("10.0.0.7")
	if err := p.apiProxy().Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(node.calls("systemctl restart")); n != 2 || !strings.Contains(node.files[p.Members[2].Path(balancer.ConfigFile)], "10.0.0.7:6443") {
		t.Errorf("%d restarts", n)
	}
	if !strings.Contains(p.out.String(), "10.0.0.9: warning: not part of this run, so its API proxy does not know the new master 10.0.0.7") {
		t.Errorf("said %s", p.out)
	}
}

// Hosts that are named without the other masters keep asking all of them for images.
func TestSeedsAreAllMasters(t *testing.T) {
	p := newPark(t, 3, 1).joined(4).without(1)
	p.Artifact = artifact(t)
	if err := p.registryService().Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"10.0.0.2:5000 10.0.0.3:5000", "", "10.0.0.1:5000 10.0.0.2:5000", "10.0.0.1:5000 10.0.0.2:5000 10.0.0.3:5000"} {
		if want == "" {
			continue // it is not named
		}
		config, err := registryproxy.ParseConfig([]byte(p.machines[i].files[p.First().Path(registry.ConfigFile)]))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(slices.Sorted(slices.Values(config.Seeds)), " "); got != want {
			t.Errorf("h%d asks %s, want %s", i+1, got, want)
		}
	}
}

// With the first master gone, another one takes its place: it knows what the cluster is made of, and nothing runs twice.
func TestFirstMasterIsGone(t *testing.T) {
	p := newPark(t, 3, 1).joined(4)
	p.Artifact, p.App = artifact(t), "redis"
	p.Artifact.Description.Kind = "app"
	p.State.KubernetesVersion, p.State.Revision = "v1.34.4", 5
	newest, err := p.State.Encode()
	if err != nil {
		t.Fatal(err)
	}
	older := *p.State
	older.Revision, older.Hosts = 4, nil
	stale, err := older.Encode()
	if err != nil {
		t.Fatal(err)
	}
	// The second master was away when the state was written last.
	p.machines[1].files[p.Members[1].Path(store.File)] = string(stale)
	p.machines[2].files[p.Members[2].Path(store.File)] = string(newest)
	p.machines[2].files[p.Members[2].Path(execute.InitConfig)] = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nnetworking: {serviceSubnet: 10.99.0.0/16}\n"
	gone := p.Hosts[0].Login
	p.without(0)
	p.unreached = []host.Report{{Host: gone, Err: errors.New("no route")}}
	if err := (&rejoin{p.Cluster}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p.First().String() != "10.0.0.2" || p.State.Revision != 5 || len(p.Others(&p.Session)) != 1 {
		t.Errorf("the first master is %s, the state is %+v", p.First(), p.State)
	}
	if got := p.kubeadm.DNSAddress(); got != "10.99.0.10" {
		t.Errorf("its DNS is taken to be at %s", got)
	}
	// A plugin may name the host that is gone: it is one of the cluster.
	p.Site.Plugins = []plugin.Plugin{newPlugin(t, "p", "SHELL", "PostInstall", "10.0.0.1", "x"),
		newPlugin(t, "l", "LABEL", "PostInstall", "", "10.0.0.1 a=b")}
	if err := p.adapt(t); err != nil {
		t.Error(err)
	}
	if err := (&saveState{p.Cluster}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	saved, err := state.Parse([]byte(p.machines[1].files[p.Members[0].Path(store.File)]))
	if err != nil || saved.Revision != 6 || len(saved.Hosts) != 4 || len(saved.Apps) != 1 {
		t.Errorf("saved is %+v, %v", saved, err)
	}
}

func TestApplicationNeedsItsCluster(t *testing.T) {
	cases := []struct {
		name string
		make func(p *park)
		want string
	}{
		{"as it should be", func(*park) {}, ""},
		{"no cluster", func(p *park) { p.Members[0].Joined = false }, "bring up an image like kubernetes"},
		{"no master", func(p *park) { p.without(0) }, "name one with -m"},
		{"a host of none", func(p *park) { p.Hosts[1].Login.Address = netip.MustParseAddr("10.0.0.77") }, "10.0.0.77 is not a host of the cluster default"},
		{"a host of none, in a plan with its cluster", func(p *park) {
			p.Hosts[1].Login.Address, p.Before = netip.MustParseAddr("10.0.0.77"), &Cluster{}
		}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := newPark(t, 1, 1).joined(2)
			p.Artifact, p.App = artifact(t), "redis"
			p.State.KubernetesVersion = "v1.34.4"
			data, err := p.State.Encode()
			if err != nil {
				t.Fatal(err)
			}
			p.machines[0].files[p.Members[0].Path(store.File)] = string(data)
			c.make(p)
			err = (&rejoin{p.Cluster}).Run(t.Context())
			checkError(t, err, c.want)
		})
	}
}

// The state in the Secret is as new as that on the masters, and nothing is written when nothing changed.
func TestSaveState(t *testing.T) {
	p := newPark(t, 2, 0).joined(2)
	p.Artifact = artifact(t)
	save := func(want int) {
		t.Helper()
		if err := (&saveState{p.Cluster}).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if p.world.version != want {
			t.Errorf("the Secret has version %d, want %d", p.world.version, want)
		}
	}
	save(1)
	save(1)
	p.State.Commands = append(p.State.Commands, "key") // as the commands do
	if err := p.Save(t.Context(), &p.Session); err != nil {
		t.Fatal(err)
	}
	save(2)
	// Without an API, the masters have it, and the next run that finds one makes up for it.
	p.world.down = true
	p.State.Commands = append(p.State.Commands, "other")
	if err := p.Save(t.Context(), &p.Session); err != nil {
		t.Fatal(err)
	}
	if err := (&saveState{p.Cluster}).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "could not be written to the Secret") {
		t.Errorf("without an API, the error is %v", err)
	}
	p.world.down = false
	save(3)
	first, second := p.machines[0].files[p.Members[0].Path(store.File)], p.machines[1].files[p.Members[1].Path(store.File)]
	if first != second || first != string(p.world.secret) {
		t.Error("the masters and the Secret do not agree")
	}
}

func TestLabelNodes(t *testing.T) {
	p := newPark(t, 1, 1).joined(2)
	p.Members[1].Site.Roles, p.Members[1].Site.Labels = []string{"storage"}, map[string]string{"zone": "zh2", "disk": "ssd"}
	p.Members[1].Site.Taints = []plugin.TaintChange{{Key: "a", Effect: "NoSchedule"}}
	labels := map[string]map[string]string{"h1": {"node-role.kubernetes.io/master": ""}, "h2": {"zone": "zh2"}}
	p.machines[0].answer = func(cmd host.Command, _ string) (string, int) {
		if i := slices.Index(cmd.Argv, "patch"); i >= 0 {
			var patch struct {
				Metadata struct{ Labels map[string]string }
			}
			if err := json.Unmarshal([]byte(cmd.Argv[len(cmd.Argv)-1]), &patch); err != nil {
				t.Error(err)
			}
			for key, value := range patch.Metadata.Labels {
				labels[cmd.Argv[i+2]][key] = value
			}
			return "", 0
		}
		return fmt.Sprintf(`{"items":[{"metadata":{"name":"h1","labels":%s}},{"metadata":{"name":"h2","labels":%s},"spec":{"taints":[{"key":"a","effect":"NoSchedule"}]}}]}`,
			encode(labels["h1"]), encode(labels["h2"])), 0
	}
	for range 2 {
		if err := (&join.LabelNodes{Session: &p.Session}).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.plan(t); !strings.HasSuffix(got, "  10.0.0.2: mark the node with disk=ssd, node-role.kubernetes.io/storage=\n") {
		t.Errorf("did %s", got)
	}
	if n := len(p.Report.Changes()); n != 1 {
		t.Errorf("%d changes", n)
	}
}

func encode(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// Another network than the running cluster's is refused before anything changes.
func TestNetworksStay(t *testing.T) {
	p := newPark(t, 1, 0).joined(1)
	p.Artifact = artifact(t)
	file := "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nnetworking: {podSubnet: 10.244.0.0/16}\n"
	p.machines[0].files[p.Members[0].Path(execute.InitConfig)] = file
	p.image.Files = map[string]layerfs.File{adapt.KubeadmFile: {Content: []byte(file)}}
	a := &adaptImage{p.Cluster}
	if err := errors.Join(p.takeDocuments(t), a.unchanged(t.Context())); err != nil {
		t.Error(err)
	}
	p.image.Files[adapt.KubeadmFile] = layerfs.File{Content: []byte(strings.Replace(file, "244", "245", 1))}
	if err := errors.Join(p.takeDocuments(t), a.unchanged(t.Context())); err == nil || !strings.Contains(err.Error(), `networking.podSubnet cannot change on a running cluster (have "10.244.0.0/16"`) {
		t.Errorf("another podSubnet gives %v", err)
	}
}

// Machines that were cloned have one name until a plugin names them.
func TestChecksKnowNamesOfPlugins(t *testing.T) {
	p := newPark(t, 2, 0)
	p.Artifact = artifact(t)
	p.Site.Plugins = []plugin.Plugin{newPlugin(t, "names", "HOSTNAME", "", "", "10.0.0.1 m0\n10.0.0.2 m1")}
	var reports []host.Report
	for _, m := range p.Members {
		m.Facts.Hostname = "debian"
		reports = append(reports, host.Report{Host: m.Host, Facts: m.Facts})
	}
	for _, f := range checklist.Run(p.checkHosts().Observed(t.Context(), reports, make([]error, 2))) {
		if strings.HasPrefix(f.Check, "hostname-") {
			t.Error(f.Text())
		}
	}
}
