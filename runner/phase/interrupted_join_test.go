package phase

import (
	"errors"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
)

// TestEtcdOfAnInterruptedJoin: a master whose join was interrupted late has an etcd with a snapshot at once in a large cluster. The other members
// decide what becomes of it.
func TestEtcdOfAnInterruptedJoin(t *testing.T) {
	cases := []struct {
		name  string
		grown bool
		make  func(p *park)
		want  string
		runs  string
	}{
		{"its member answers", true, func(*park) {}, "", "reset join"},
		{"its member does not answer", true, func(p *park) { p.world.leaving.deadMembers = map[uint64]bool{3: true} }, "", "reset join"},
		{"its member never started", true, func(p *park) {
			p.world.leaving.etcd[2].Name, p.world.leaving.deadMembers = "", map[uint64]bool{3: true}
		}, "", "reset join"},
		{"not a member", true, func(p *park) { p.world.leaving.etcd = p.world.leaving.etcd[:2] }, "has been in use for a while and is not a member of this cluster's", ""},
		{"not a member, and new", false, func(p *park) { p.world.leaving.etcd = p.world.leaving.etcd[:2] }, "", "reset join"},
		{"the cluster needs it", true, func(p *park) { p.world.leaving.dead["h2"] = true }, "of etcd does not answer, so no master can join", ""},
		{"no API answers", true, func(p *park) { p.world.down = true }, "connection refused", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := established(t, 3, 0)
			f := p.machines[2]
			f.remove(execute.JoinMarker, "admin.conf")
			if c.grown {
				f.files[host.EtcdDir+"/member/snap/1.snap"] = "x"
			}
			p.world.leaving.unlabelled = map[string]bool{"h3": true}
			c.make(p)
			next, _ := p.again(t, 1<<40, forever)
			err := (&remember{next.Cluster}).Run(t.Context())
			if err == nil && !p.world.down {
				p.world.leaving.unlabelled = map[string]bool{"h3": !f.has(execute.AdminConfig)}
				err = errors.Join(next.Enroll(t.Context(), &next.Session), next.joinMasters().Run(t.Context()))
			}
			if p.world.down {
				next.Members[2].Joined = false
				_, err = next.membership().ExamineJoin(t.Context(), next.Members[2], next.Members[2].Authority())
			}
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q", err, c.want)
			}
			var runs []string
			for _, line := range f.calls(next.Members[2].Program("kubeadm")) {
				runs = append(runs, strings.Fields(line)[1])
			}
			if got := strings.Join(runs, " "); got != c.runs {
				t.Errorf("kubeadm ran %q, want %q", got, c.runs)
			}
			if c.runs != "" && len(p.world.leaving.etcd) != 3 {
				t.Errorf("members of etcd are %v", p.world.leaving.etcd)
			}
		})
	}
}

// TestResetThatEtcdCannotTake: the member of a half-made master stays while etcd would lose its majority without it.
func TestResetThatEtcdCannotTake(t *testing.T) {
	p := established(t, 3, 0)
	p.world.leaving.dead["h2"] = true
	next, _ := p.again(t, 1<<40, forever)
	err := next.membership().CheckReset(t.Context(), next.Members[2])
	for _, want := range []string{"10.0.0.3: its join was interrupted, and its etcd cannot be removed: etcd would lose its majority", "h2 (https://10.0.0.2:2380)"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %q", err, want)
		}
	}
}
