package phase

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/state"
	"github.com/kubefile/kubefile/runner/store"
)

// brought is a site on which a run was complete.
func brought(t *testing.T, masters, nodes int) *park {
	t.Helper()
	p, _ := untouched(t, artifact(t), authority(t), masters, nodes).again(t, 1<<40, func() {})
	if err := p.perform(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

// rerun is the same command again.
func (p *park) rerun(t *testing.T) (*park, error) {
	t.Helper()
	next, _ := p.again(t, 1<<40, func() {})
	return next, next.perform(t.Context())
}

// destroyed are the commands of a machine that destroy something.
func (f *machine) destroyed() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.ran), func(line string) bool {
		return !strings.Contains(line, "kubeadm reset") && !strings.Contains(line, "delete node") && !strings.Contains(line, "rm -r")
	})
}

func (p *park) forget() {
	for _, f := range p.machines {
		f.ran, f.stdin, f.env = nil, nil, nil
	}
}

func (f *machine) remove(suffixes ...string) {
	for name := range f.files {
		for _, suffix := range suffixes {
			if strings.HasSuffix(name, suffix) {
				delete(f.files, name)
			}
		}
	}
}

// checkKubeadmRuns checks what kubeadm was called with: its verbs in their order, and that preflight is left out.
func checkKubeadmRuns(t *testing.T, f *machine, m *execute.Member, want string) {
	t.Helper()
	var runs []string
	for _, line := range f.calls(m.Program("kubeadm")) {
		words := strings.Fields(line)
		runs = append(runs, words[1])
		if words[1] == "reset" && !strings.Contains(line, "--cri-socket "+kubeadm.CRISocket) { // the host may have others
			t.Errorf("ran %q without the socket of containerd", line)
		}
		if slices.Contains(words, "--skip-phases=preflight") {
			runs = append(runs, "--skip-phases=preflight")
		}
	}
	if got := strings.Join(runs, " "); got != want {
		t.Errorf("kubeadm ran %q, want %q", got, want)
	}
}

// A marker that is lost wipes nothing: that a host is in the cluster is seen on the host, in the state and in the API, and the marker comes
// back.
func TestLostMarkers(t *testing.T) {
	cases := []struct {
		name string
		lose func(p *park)
	}{
		{"of the first master", func(p *park) { p.machines[0].remove(execute.InitMarker) }},
		{"of the second master", func(p *park) { p.machines[1].remove(execute.JoinMarker) }},
		{"of a node", func(p *park) { p.machines[2].remove(execute.JoinMarker) }},
		{"all markers", func(p *park) {
			for _, f := range p.machines {
				f.remove(".done", ".started")
			}
		}},
		{"markers and state of the first master", func(p *park) { p.machines[0].remove(execute.InitMarker, store.File) }},
		{"all markers and copies of the state but the Secret", func(p *park) {
			for _, f := range p.machines {
				f.remove(execute.InitMarker, execute.JoinMarker, store.File)
			}
		}},
		{"markers and records, as of an earlier version", func(p *park) {
			for _, f := range p.machines {
				f.remove(execute.InitMarker, execute.JoinMarker, hostrecord.RecordFile)
			}
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := brought(t, 2, 1)
			p.forget()
			c.lose(p)
			p, err := p.rerun(t)
			if err != nil {
				t.Fatal(err)
			}
			for i, f := range p.machines {
				if got := f.destroyed(); len(got) > 0 {
					t.Errorf("%s: ran %q", f.host, got)
				}
				if marker := []string{execute.InitMarker, execute.JoinMarker, execute.JoinMarker}[i]; f.files[p.Members[i].Path(marker)] == "" {
					t.Errorf("%s: %s was not written again", f.host, marker)
				}
			}
			s, err := state.Parse([]byte(p.machines[0].files[p.Members[0].Path(store.File)]))
			if err != nil || len(s.Hosts) != 3 {
				t.Errorf("the state is %+v, %v", s, err)
			}
		})
	}
}

// A single master whose marker and copies of the state are lost, with nothing but its record and its API.
func TestOnlyTheAPIKnows(t *testing.T) {
	p := brought(t, 1, 0)
	p.machines[0].remove(execute.InitMarker, store.File)
	p.world.secret, p.world.version = nil, 0
	p.forget()
	p, err := p.rerun(t)
	if err != nil || len(p.machines[0].destroyed()) > 0 || len(p.machines[0].calls(p.Members[0].Program("kubeadm")+" init")) > 0 {
		t.Errorf("ran %q, %v", p.machines[0].ran, err)
	}
}

// What is on the first master decides what becomes of a control plane that has no marker.
func TestControlPlaneWithoutMarker(t *testing.T) {
	cases := []struct {
		name string
		make func(p *park)
		want string // in the error
		runs string // what kubeadm is called with
	}{
		{"nothing", func(p *park) { p.machines[0].remove("etcd.yaml", "snap/db", "kubelet.conf", "admin.conf") }, "", "init"},
		{"interrupted before its API was there", func(p *park) { p.world.down = true; p.machines[0].remove(store.File) }, "", "reset init"},
		{"interrupted in its last steps", func(p *park) { p.world.missing = "cluster-info"; p.machines[0].remove(store.File) }, "", "init --skip-phases=preflight"},
		{"in use for a while, and its API is down", func(p *park) {
			p.world.down = true
			p.machines[0].remove(store.File)
			p.machines[0].files["/var/lib/etcd/member/snap/1.snap"] = "x"
		}, "has been in use for a while", ""},
		{"complete by the state, with its credentials gone, and its API down", func(p *park) {
			p.world.down = true
			p.machines[0].remove("admin.conf")
		}, "was complete once", ""},
		{"complete by the state, and all of it gone", func(p *park) {
			p.world.down = true
			p.machines[0].remove("etcd.yaml", "snap/db", "kubelet.conf", "admin.conf")
			p.machines[0].files[p.Members[0].Path(store.File)] = p.machines[0].files["kept"]
		}, "nothing of it is left", ""},
		{"not begun by us", func(p *park) { p.world.down = true; p.machines[0].remove(store.File, hostrecord.RecordFile) }, "no record of this cluster", ""},
		{"an etcd that was there before kubeadm", func(p *park) {
			p.machines[0].remove("etcd.yaml", "kubelet.conf", "admin.conf", store.File, hostrecord.RecordFile)
		}, "an etcd", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := brought(t, 1, 0)
			f := p.machines[0]
			f.files["kept"] = f.files[p.Members[0].Path(store.File)]
			p.world.secret, p.world.version = nil, 0
			f.remove(execute.InitMarker)
			p.forget()
			if c.name == "nothing" {
				f.remove(store.File)
			}
			c.make(p)
			next, _ := p.again(t, 1<<40, func() {})
			err := errors.Join((&remember{next.Cluster}).Run(t.Context()), next.controlPlane().Run(t.Context()))
			checkError(t, err, c.want)
			checkKubeadmRuns(t, f, next.Members[0], c.runs)
		})
	}
}

// checkMasterIsKept checks that the same command again runs no kubeadm on the first master, which is in the cluster.
func (p *park) checkMasterIsKept(t *testing.T) {
	t.Helper()
	next, _ := p.again(t, 1<<40, func() {})
	if err := errors.Join((&remember{next.Cluster}).Run(t.Context()), next.controlPlane().Run(t.Context())); err != nil {
		t.Fatal(err)
	}
	if got := p.machines[0].calls(next.Members[0].Program("kubeadm")); len(got) > 0 || !next.Members[0].Joined {
		t.Errorf("ran %q", got)
	}
}

// A kubeadm that an interrupted run left running ends first, and is not taken for one that was interrupted.
func TestKubeadmThatStillRuns(t *testing.T) {
	p := brought(t, 1, 0)
	f := p.machines[0]
	f.remove(execute.InitMarker, store.File)
	p.world.secret, p.world.version, p.world.down = nil, 0, true
	f.answer = func(cmd host.Command, _ string) (string, int) {
		if slices.Contains(cmd.Argv, "true") { // has the lock that it had
			p.world.down = false
		}
		return "", 0
	}
	p.forget()
	p.checkMasterIsKept(t)
}

// What is on a host, and in the API, decides what becomes of one that is to join.
func TestHostThatIsToJoin(t *testing.T) {
	cases := []struct {
		name string
		make func(p *park, f *machine)
		want string
		runs string
	}{
		{"a new host", func(_ *park, f *machine) { f.remove("kubelet.conf") }, "", "join"},
		{"an interrupted join", func(_ *park, f *machine) {
			f.remove("kubelet.conf")
			f.files["/etc/kubernetes/bootstrap-kubelet.conf"] = "x"
		}, "", "reset join"},
		{"of another cluster", func(_ *park, f *machine) { f.files[execute.KubeletConfig] = authority(t) }, "is a node of another cluster", ""},
		{"of another cluster of the same name, by its record", func(_ *park, f *machine) {
			f.files["/var/lib/sealer/data/default/record.json"] = `{"version":1,"cluster":"default","id":"other","begun":["install","kubeadm-join"]}`
		}, `belongs to another cluster (name "default", ID "other")`, ""},
		{"kubeadm that was not ours", func(_ *park, f *machine) {
			f.remove("kubelet.conf", hostrecord.RecordFile)
			f.files["/var/lib/kubelet/config.yaml"] = "x"
			f.files["/etc/kubernetes/bootstrap-kubelet.conf"] = "x"
		}, "no record of this cluster", ""},
		{"an etcd that is somebody's", func(_ *park, f *machine) {
			f.remove("kubelet.conf", hostrecord.RecordFile)
			f.files["/var/lib/etcd/member/wal/0.wal"] = "precious"
		}, "an etcd", ""},
		{"an etcd that came after an interrupted join", func(_ *park, f *machine) {
			f.remove("kubelet.conf")
			f.files["/etc/kubernetes/bootstrap-kubelet.conf"] = "x"
			f.files["/var/lib/etcd/member/wal/0.wal"] = "precious"
		}, "", "reset join"},
		{"a name that another node has", func(p *park, f *machine) {
			f.remove("kubelet.conf")
			p.world.elsewhere = map[string]string{"h2": "10.0.0.99"}
		}, "has a node h2 at 10.0.0.99", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := brought(t, 1, 1)
			f := p.machines[1]
			f.remove(execute.JoinMarker)
			p.forget()
			c.make(p, f)
			next, _ := p.again(t, 1<<40, func() {})
			err := (&remember{next.Cluster}).Run(t.Context())
			if err == nil {
				err = next.joinNodes().Run(t.Context())
			}
			checkError(t, err, c.want)
			checkKubeadmRuns(t, f, next.Members[1], c.runs)
			if c.want != "" && len(p.machines[0].destroyed()) > 0 {
				t.Errorf("on the master ran %q", p.machines[0].destroyed())
			}
			if data, there := f.files["/var/lib/etcd/member/wal/0.wal"]; there && data != "precious" || strings.Contains(c.name, "etcd") && !there {
				t.Error("the etcd's data is gone")
			}
		})
	}
}

// A run that names another master and the same nodes is refused, and they stay where they are: at once, and also when they joined while it
// was on its way.
func TestNodesAreNotStolen(t *testing.T) {
	p := brought(t, 1, 2)
	p.forget()
	other := &machine{t: t, host: host.Host{Address: netip.MustParseAddr("10.0.0.4"), Role: host.RoleMaster}, units: map[string]bool{}, world: p.world,
		files: map[string]string{execute.HostsFile: "127.0.0.1 localhost\n"}, answer: p.machines[0].answer}
	p.world.machines = append(p.world.machines, other)
	thief := &park{Cluster: p.Cluster, world: p.world, machines: []*machine{other, p.machines[1], p.machines[2]}}
	_, err := thief.rerun(t)
	if err == nil || !strings.Contains(err.Error(), "10.0.0.2") || !strings.Contains(err.Error(), "another cluster") {
		t.Errorf("error is %v", err)
	}
	// The same without records, as with nodes of an earlier version.
	for _, f := range p.machines {
		f.remove(hostrecord.RecordFile)
	}
	if _, err := thief.rerun(t); err == nil || !strings.Contains(err.Error(), "10.0.0.2") {
		t.Errorf("without records, the error is %v", err)
	}
	for _, f := range thief.machines {
		if got := f.destroyed(); len(got) > 0 || f == other && len(f.calls("/var/lib/sealer/data/default/rootfs/bin/kubeadm")) > 0 {
			t.Errorf("%s: ran %q", f.host, f.ran)
		}
	}
}

// Membership is asked again right before kubeadm: minutes pass between the first look and that.
func TestNodesThatJoinedMeanwhile(t *testing.T) {
	p := brought(t, 1, 1)
	next, _ := p.again(t, 1<<40, func() {})
	if err := (&remember{next.Cluster}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	next.Members[1].Joined = false // as it was when the run looked
	p.machines[1].files[execute.KubeletConfig] = authority(t)
	p.forget()
	if err := next.joinNodes().Run(t.Context()); err == nil || !strings.Contains(err.Error(), "is a node of another cluster") {
		t.Errorf("error is %v", err)
	}
	if got := append(p.machines[0].destroyed(), p.machines[1].destroyed()...); len(got) > 0 {
		t.Errorf("ran %q", got)
	}
	next.Members[1].LoseLock()
	if err := next.joinNodes().Run(t.Context()); !errors.Is(err, execute.ErrLockLost) {
		t.Errorf("without its lock, the error is %v", err)
	}
}

// Masters of two clusters are not taken for those of one.
func TestMastersOfTwoClusters(t *testing.T) {
	p := brought(t, 2, 0)
	p.machines[1].files[execute.KubeletConfig] = authority(t)
	if _, err := p.rerun(t); err == nil || !strings.Contains(err.Error(), "10.0.0.2 is a node of another cluster") {
		t.Errorf("error is %v", err)
	}
}
