package runner

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/imagespec"
	format "github.com/kubefile/kubefile/imagespec/clusterfile"
	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/phase"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/state"
)

// knows gives the test's host a state, in which it is a master.
func (h *testHost) knows(t *testing.T, change func(*state.State)) {
	t.Helper()
	s := state.New("test")
	s.Image, s.Digest, s.KubernetesVersion = "./nowhere.tar", "sha256:0", "v1.34.4"
	s.Put(state.Host{Address: h.server.Address.Addr(), Name: "h1", Role: "master", Phase: state.Complete})
	s.Wanted = &state.Wanted{Site: map[string]string{}}
	change(s)
	data, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(h.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"state.json": data, hostrecord.JournalFile: []byte("{}")} {
		if err := os.WriteFile(filepath.Join(h.dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

var newNode = execute.Joining{Nodes: []netip.Addr{netip.MustParseAddr("10.0.0.9")}}

// TestJoinIsRefused: what is wrong with the images, or with the hosts that are named, stops the run before it reaches a host that joins.
func TestJoinIsRefused(t *testing.T) {
	kubernetes, app := clusterLayout(t, "kubernetes"), appLayout(t, "app")
	digestOf := func(image string) digest.Digest {
		a, err := source.Open(t.Context(), image, fromForeign())
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		return a.Digest
	}
	cases := []struct {
		name   string
		images []string
		state  func(*state.State)
		want   []string
	}{
		{"no cluster", nil, nil, []string{"no master with the state of cluster test was reached; check the addresses, --cluster-name and --data-root"}},
		{"never completed", nil, func(s *state.State) { s.Digest = "" }, []string{"cluster test was never completed"}},
		{"no such image given", []string{"./none.tar"}, func(*state.State) {}, []string{"./none.tar"}},
		{"image not found by its name", nil, func(*state.State) {},
			[]string{"the image of the cluster (./nowhere.tar, sha256:0) is not found by its name", "sealer-run join ./image.tar", "./nowhere.tar: not found"}},
		{"name of another image", nil, func(s *state.State) { s.Image = kubernetes },
			[]string{kubernetes + " is another image by now (" + digestOf(kubernetes).String() + ")", "sha256:0"}},
		{"another image", []string{kubernetes}, func(*state.State) {},
			[]string{kubernetes + " is " + digestOf(kubernetes).String(), "the cluster was made from ./nowhere.tar (sha256:0)"}},
		{"an application that the cluster does not have", []string{kubernetes, app}, func(s *state.State) { s.Digest = digestOf(kubernetes) },
			[]string{app + " is an application image, and the cluster has none"}},
		{"another version of an application", []string{kubernetes, app},
			func(s *state.State) {
				s.Digest, s.Apps = digestOf(kubernetes), []state.App{{Dir: "app", Image: "app:v1", Digest: "sha256:1"}}
			}, []string{"the cluster has the application images app:v1 (sha256:1)"}},
		{"an application that is not found", []string{kubernetes},
			func(s *state.State) {
				s.Digest, s.Apps = digestOf(kubernetes), []state.App{{Dir: "app", Image: "./app.tar", Digest: "sha256:1"}}
			}, []string{"the image of application app (./app.tar, sha256:1) is not found"}},
		{"another role", nil, func(s *state.State) {
			s.Put(state.Host{Address: newNode.Nodes[0], Name: "h9", Role: "master", Phase: state.Complete})
		}, []string{"10.0.0.9 is already a master in this cluster and cannot be added as a node"}},
		{"unknown configuration", []string{kubernetes}, func(s *state.State) { s.Digest, s.Wanted = digestOf(kubernetes), nil }, []string{"an earlier version wrote the state"}},
		{"other configuration", []string{kubernetes}, func(s *state.State) {
			s.Digest, s.Wanted.Site = digestOf(kubernetes), map[string]string{"plugins": "x"}
		}, []string{"made with other plugins, and the state does not keep these"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := newTestHost(t)
			t.Chdir(t.TempDir())
			if c.state != nil {
				h.knows(t, c.state)
			}
			var out bytes.Buffer
			_, err := Join(t.Context(), c.images, fromForeign(), h.Site, newNode, Options{}, &out)
			wantError(t, err, c.want...)
			if out.Len() > 0 || strings.Contains(h.progress.String(), "[2/") {
				t.Errorf("it began:\n%s%s", &out, h.progress)
			}
		})
	}
}

// TestJoinNothing: hosts that are in the cluster need nothing, not even an image.
func TestJoinNothing(t *testing.T) {
	for want, opts := range map[string]Options{
		"nothing to do: all hosts are in cluster test\n": {}, "nothing to do\n": {DryRun: true},
		"{\n  \"version\": 1,\n  \"dryRun\": true,\n  \"actions\": []\n}\n": {DryRun: true, JSON: true},
	} {
		h := newTestHost(t)
		h.knows(t, func(s *state.State) {
			s.Put(state.Host{Address: newNode.Nodes[0], Name: "h9", Role: "node", Phase: state.Complete})
		})
		var out bytes.Buffer
		changes, err := Join(t.Context(), nil, fromForeign(), h.Site, newNode, opts, &out)
		if err != nil || changes != 0 || out.String() != want {
			t.Errorf("%+v: got %d changes, %v, and\n%s\nwant\n%s", opts, changes, err, &out, want)
		}
		if dry := strings.HasPrefix(h.progress.String(), "dry run: no host is changed\n"); dry != opts.DryRun {
			t.Errorf("%+v: the progress begins otherwise:\n%s", opts, h.progress)
		}
	}
}

// TestJoinedSite: hosts of the state that answer and are not empty, and those that join; what a Clusterfile has of any of them; and the documents of the state
// below those of the Clusterfile.
func TestJoinedSite(t *testing.T) {
	at := func(n byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, n}) }
	s := state.New("default")
	for _, h := range []state.Host{
		{Address: at(1), Role: "master", Phase: state.Complete}, {Address: at(2), Role: "node", Phase: state.Complete},
		{Address: at(3), Role: "node", Phase: state.Complete}, {Address: at(4), Role: "node", Phase: state.Joining},
		{Address: at(5), Role: "node", Phase: state.Leaving}, {Address: at(6), Role: "node", Phase: state.Joined},
		{Address: at(10), Role: "master", Phase: state.Complete},
	} {
		s.Put(h)
	}
	s.Wanted = &state.Wanted{Kubeadm: map[string]map[string]any{"KubeletConfiguration": {"maxOpenFiles": float64(1000000), "maxPods": float64(50)}}}
	file := &clusterfile.Clusterfile{
		Cluster: &clusterfile.Cluster{Name: "default", Hosts: []clusterfile.Host{
			{Address: at(1), Role: host.RoleMaster, SSH: format.SSH{User: "ops"}},
			{Address: at(7), Role: host.RoleMaster, Labels: map[string]string{"disk": "fast"}, SSH: format.SSH{User: "root"}},
			{Address: at(9), Role: host.RoleNode},
		}},
		Kubeadm: kubeadm.Documents{"KubeletConfiguration": {"maxPods": 60}},
	}
	found := phase.Recalled{State: s, Unreached: []host.Report{{Host: host.Host{Address: at(3)}}}, Empty: []netip.Addr{at(10)}}
	joined := joinedSite(file, found, execute.Joining{Masters: []netip.Addr{at(7)}, Nodes: []netip.Addr{at(4), at(6), at(8)}})
	want := []clusterfile.Host{
		file.Cluster.Hosts[0], file.Cluster.Hosts[1],
		{Address: at(2), Role: host.RoleNode, SSH: format.SSH{User: "ops"}}, {Address: at(4), Role: host.RoleNode, SSH: format.SSH{User: "ops"}},
		{Address: at(6), Role: host.RoleNode, SSH: format.SSH{User: "ops"}}, {Address: at(8), Role: host.RoleNode, SSH: format.SSH{User: "ops"}},
	}
	if !reflect.DeepEqual(joined.Cluster.Hosts, want) {
		t.Errorf("the hosts are\n%+v, want\n%+v", joined.Cluster.Hosts, want)
	}
	documents := kubeadm.Documents{"KubeletConfiguration": {"maxOpenFiles": int64(1000000), "maxPods": 60}}
	if !reflect.DeepEqual(joined.Kubeadm, documents) || len(file.Cluster.Hosts) != 3 {
		t.Errorf("the documents are %v, want %v", joined.Kubeadm, documents)
	}
}

// TestMatchImages: images are found by their digests, whatever their names and order are.
func TestMatchImages(t *testing.T) {
	kubernetes, app := clusterLayout(t, "other-name"), appLayout(t, "app")
	given, err := openAll(t.Context(), []string{app, kubernetes}, fromForeign())
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(given)
	s := &state.State{Image: "kubernetes:v1", Digest: given[1].Digest, Apps: []state.App{{Dir: "app", Image: app, Digest: given[0].Digest}}}
	for name, images := range map[string][]*source.Artifact{"both": given, "one, and the other by its name": given[1:]} {
		artifacts, opened, err := match(t.Context(), images, wantedImages(s, "kubernetes:v2"), fromForeign())
		defer closeAll(opened)
		if err != nil || len(artifacts) != 2 || artifacts[0] != given[1] || artifacts[1].Description.Kind != imagespec.KindApp || len(opened) != 2-len(images) {
			t.Errorf("%s: %v, %v, %v", name, artifacts, opened, err)
		}
	}
}

// TestNoMasterNamed: a node knows the masters of its cluster.
func TestNoMasterNamed(t *testing.T) {
	err := noState("default", phase.Recalled{Masters: []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")}})
	wantError(t, err, "no host that was named is a master of cluster default; its masters are 10.0.0.1, 10.0.0.2")
}
