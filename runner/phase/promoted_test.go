package phase

import (
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/host"
)

// A master joins again if kubeadm gave up on a member that etcd had promoted, once, and after what is left was cleared away.
func TestMemberThatIsPromotedAlready(t *testing.T) {
	const late = "[etcd] Creating static Pod manifest for \"etcd\"\n" +
		"error: error execution phase etcd-join: error creating local etcd static pod manifest file: etcdserver: can only promote a learner member\n" +
		"To see the stack trace of this error execute with --v=5 or higher"
	for _, tt := range []struct {
		name, said   string
		failures     int
		joins, reset int
		fails        bool
	}{
		{"once", late, 1, 2, 1, false},
		{"again", late, 2, 2, 1, true},
		{"another reason", waited, 1, 1, 0, true},
		{"a member that is not in sync", strings.ReplaceAll(late, "a learner member", "a learner member which is in sync with leader"), 1, 1, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, _ := untouched(t, artifact(t), authority(t), 2, 0).again(t, 1<<40, func() {})
			f := p.machines[1]
			joins, resets := 0, 0
			answer := f.answer
			f.answer = func(cmd host.Command, stdin string) (string, int) {
				switch command := strings.Join(cmd.Argv, " "); {
				case strings.Contains(command, "/bin/kubeadm join"):
					if joins++; joins <= tt.failures {
						f.effect(cmd.Argv) // all but the end, and no API that the kubelet could register its node with
						f.world.mu.Lock()
						f.world.gone = map[string]bool{f.node(): true}
						f.world.mu.Unlock()
						return tt.said, 1
					}
				case strings.Contains(command, "/bin/kubeadm reset"):
					resets++
				}
				return answer(cmd, stdin)
			}
			err := p.perform(t.Context())
			if (err != nil) != tt.fails || joins != tt.joins || resets != tt.reset {
				t.Errorf("it ended with %v after %d joins and %d resets, want %d and %d", err, joins, resets, tt.joins, tt.reset)
			}
		})
	}
}
