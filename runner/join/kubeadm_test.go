package join

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/kubefile/kubefile/runner/agent/client"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/state"
	"github.com/kubefile/kubefile/runner/store"
)

// cluster are hosts h1, h2 and so on with these roles, whose commands end as run says.
func cluster(roles []host.Role, run func() error) (*execute.Session, *store.Store) {
	s := &execute.Session{Name: "default", DataRoot: execute.DefaultDataRoot, Report: report.New(io.Discard)}
	for i, role := range roles {
		h := host.Host{Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), Role: role}
		m := &execute.Member{Client: client.Client{Conn: conn{h, run}, Dir: s.Dir()}, Host: h, Index: i, Name: "h" + string('1'+rune(i)), Facts: &host.Facts{}}
		s.Members = append(s.Members, m)
	}
	return s, &store.Store{State: state.New("default")}
}

type conn struct {
	host host.Host
	run  func() error
}

func (c conn) Host() host.Host { return c.host }
func (c conn) Close() error    { return nil }
func (c conn) Run(ctx context.Context, cmd host.Command) error {
	return errors.Join(c.run(), context.Cause(ctx))
}

// A kubelet that does not register its node does not keep a run that is interrupted.
func TestKubeletThatDoesNotRegister(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, _ := cluster([]host.Role{host.RoleMaster, host.RoleNode}, func() error { cancel(); return nil })
	k := &Kubeadm{Session: s}
	if err := k.registered(ctx, s.Members[1]); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

// A token outlives the joins of all hosts, which wait for each other.
func TestTokenLife(t *testing.T) {
	for _, tt := range []struct {
		hosts, together int
		want            time.Duration
	}{{0, 1, 30 * time.Minute}, {1, 32, 30 * time.Minute}, {32, 32, 30 * time.Minute}, {33, 32, 50 * time.Minute}, {500, 32, 330 * time.Minute}, {3, 1, 70 * time.Minute}} {
		if got := tokenLife(tt.hosts, tt.together); got != tt.want {
			t.Errorf("%d hosts, %d together: got %s, want %s", tt.hosts, tt.together, got, tt.want)
		}
	}
}
