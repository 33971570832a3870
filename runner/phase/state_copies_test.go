package phase

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/reach"
	"github.com/kubefile/kubefile/runner/state"
	"github.com/kubefile/kubefile/runner/store"
)

// A run that fails late, or whose joins fail, leaves all of its hosts in the state: a removal that names a master reaches them.
func TestFailedRunKeepsItsHosts(t *testing.T) {
	for name, fails := range map[string]func(cmd host.Command) bool{
		"a command of the image": func(cmd host.Command) bool { return slices.Contains(cmd.Argv, "helm") },
		"a join":                 func(cmd host.Command) bool { return slices.Contains(cmd.Argv, "join") },
		"kubeadm init":           func(cmd host.Command) bool { return slices.Contains(cmd.Argv, "init") },
		"a script":               func(cmd host.Command) bool { return slices.Contains(cmd.Argv, "scripts/init.sh") },
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := untouched(t, artifact(t), authority(t), 1, 2).again(t, 1<<40, func() {})
			for _, f := range p.machines {
				works := f.answer
				f.answer = func(cmd host.Command, stdin string) (string, int) {
					if fails(cmd) {
						return "timed out", 1
					}
					return works(cmd, stdin)
				}
			}
			if err := p.perform(t.Context()); err == nil {
				t.Fatal("it should fail")
			}
			removal := &park{Cluster: &Cluster{Session: execute.Session{Name: p.Name, DataRoot: p.DataRoot, Report: p.Report}, Inventory: reach.Inventory{Hosts: p.Hosts[:1]}, Site: bareSite()}, world: p.world}
			removal.visit(t, p.machines[0])
			if err := removal.recall(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := removal.Cluster.Unnamed(&removal.Cluster.Session, &removal.Cluster.Store); len(got) != 2 {
				t.Errorf("a removal would also reach %v, want the two nodes", got)
			}
		})
	}
}

// Two runs that name different masters of a cluster, one after the other or at once, both leave their hosts in the state.
func TestRunsWithDifferentMasters(t *testing.T) {
	base := untouched(t, artifact(t), authority(t), 2, 2)
	only := func(indexes ...int) *park {
		p := &park{Cluster: base.Cluster, world: base.world}
		for _, i := range indexes {
			p.machines = append(p.machines, base.machines[i])
		}
		return p
	}
	if _, err := only(0, 1).rerun(t); err != nil {
		t.Fatal(err)
	}
	if _, err := only(0, 2).rerun(t); err != nil {
		t.Fatal(err)
	}
	// The second run does not see the Secret when it begins, and another one writes it before it does.
	p, _ := only(1, 3).again(t, 1<<40, func() {})
	base.world.version, base.world.secret = 7, []byte(base.machines[1].files[p.Members[0].Path(store.File)])
	base.world.beforeWrite = func() {
		base.world.version, base.world.secret = 8, []byte(base.machines[0].files[p.Members[0].Path(store.File)])
	}
	if err := p.perform(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(p.out.String(), "two runs changed the cluster's state independently") {
		t.Errorf("said %s", p.out)
	}
	s, err := state.Parse(base.world.secret)
	if err != nil || len(s.Hosts) != 4 {
		t.Errorf("the state has %+v, %v", s, err)
	}
	next, err := only(0, 1).rerun(t)
	if err != nil || len(next.State.Hosts) != 4 || next.machines[0].files[next.Members[0].Path(store.File)] != next.machines[1].files[next.Members[1].Path(store.File)] {
		t.Errorf("afterwards it has %+v, %v", next.State.Hosts, err)
	}
}

// A copy that cannot be read is named, and replaced by a good one.
func TestDamagedCopies(t *testing.T) {
	p := brought(t, 2, 0)
	file := p.Members[0].Path(store.File)
	for name, content := range map[string]string{"cut off": p.machines[0].files[file][:50], "zeros": strings.Repeat("\x00", 80), "of another cluster": strings.ReplaceAll(p.machines[0].files[file], `"default"`, `"x"`)} {
		p.machines[1].files[file] = content
		next, err := p.rerun(t)
		if err != nil || !strings.Contains(next.out.String(), "10.0.0.2") || !strings.Contains(next.out.String(), "cannot be used") {
			t.Errorf("%s: said %s, %v", name, next.out, err)
		}
		if next.machines[1].files[file] != next.machines[0].files[file] {
			t.Errorf("%s: the copy is not replaced", name)
		}
	}
	p.machines[0].files[file], p.machines[1].files[file], p.world.secret = "{", "{", []byte("{")
	if _, err := p.rerun(t); !errors.Is(err, state.ErrDamaged) {
		t.Errorf("without a good copy the error is %v", err)
	}
}

// A cluster of an earlier version gets an ID, which all of its hosts record, and is the same cluster.
func TestClusterOfAnEarlierVersion(t *testing.T) {
	p := brought(t, 1, 1)
	old := fmt.Sprintf(`{"version":1,"revision":3,"cluster":"default","image":"app:v1","digest":%q,"kubernetesVersion":%q,"commands":null,
		"hosts":[{"address":"10.0.0.1","name":"h1","role":"master"},{"address":"10.0.0.2","name":"h2","role":"node"}]}`,
		p.Artifact.Digest, p.Artifact.Description.KubernetesVersion)
	for _, f := range p.machines {
		f.remove(hostrecord.RecordFile)
	}
	p.machines[0].files[p.Members[0].Path(store.File)] = old
	p.world.secret, p.world.version = []byte(old), 3
	p.forget()
	p, err := p.rerun(t)
	if err != nil {
		t.Fatal(err)
	}
	s, err := state.Parse(p.world.secret)
	if err != nil || s.ID == "" || len(s.Hosts) != 2 {
		t.Fatalf("the state is %+v, %v", s, err)
	}
	for i, f := range p.machines {
		var record hostrecord.Record
		if err := json.Unmarshal([]byte(f.files[p.Members[i].Path(hostrecord.RecordFile)]), &record); err != nil || !record.Of("default", s.ID) || len(record.Begun) != 2 {
			t.Errorf("%s: record %+v, %v", f.host, record, err)
		}
		if got := f.destroyed(); len(got) > 0 {
			t.Errorf("%s: ran %q", f.host, got)
		}
	}
}

// Hosts that are left out are named, and nothing else becomes of them.
func TestAbsentHostsAreNamed(t *testing.T) {
	p := brought(t, 1, 2)
	p.machines = p.machines[:2]
	p, err := p.rerun(t)
	if err != nil || !strings.Contains(p.out.String(), "left in the cluster as they are: 10.0.0.3 (h3, node)") {
		t.Errorf("said %s, %v", p.out, err)
	}
	if len(p.State.Hosts) != 3 {
		t.Errorf("the state has %v", p.State.Hosts)
	}
}

// A removal does not say that a cluster is gone while it has nodes whose hosts it does not know.
func TestRemovalNamesUnknownNodes(t *testing.T) {
	p := brought(t, 1, 2)
	s, err := state.Parse(p.world.secret)
	if err != nil {
		t.Fatal(err)
	}
	s.Hosts = s.Hosts[:2] // the third joined in a run that did not note it
	p.State, p.Artifact = s, nil
	p.Members = p.Members[:2]
	p.reach().UnknownNodes(t.Context())
	p.DryRun = true
	if err := p.verifyCleanup().Run(t.Context()); err == nil || !strings.Contains(err.Error(), `node "h3 10.0.0.3"`) || len(p.unknown) != 1 {
		t.Errorf("error is %v", err)
	}
}
