package phase

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/host"
)

// Every host is locked, whatever the clusters' names are, and all are free again when one was busy.
func TestLockIsOnEveryHost(t *testing.T) {
	p := newPark(t, 1, 3)
	var busyHost host.Host
	var conns []*lockConn
	for _, m := range p.members {
		conn := &lockConn{answers: answers{host: m.host}}
		m.Client.Conn = conn
		conns = append(conns, conn)
	}
	p.abandon = func(error) {}
	for _, taken := range []int{-1, 2} {
		for i, conn := range conns {
			conn.busy, conn.held = i == taken, false
			if conn.busy {
				busyHost = conn.host
			}
		}
		l := &lock{Cluster: p.Cluster}
		err := l.Run(t.Context())
		if (err == nil) != (taken < 0) || err != nil && (!errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), busyHost.String())) {
			t.Errorf("error is %v", err)
		}
		for i, conn := range conns {
			if conn.held != (i != taken) || conn.file != "/run/kubefile.lock" {
				t.Errorf("%s: held %v, by %q", conn.host, conn.held, conn.file)
			}
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		for _, conn := range conns {
			if conn.held {
				t.Errorf("%s is still locked", conn.host)
			}
		}
	}
}

// lockConn is a host that can be locked.
type lockConn struct {
	answers
	busy, held bool
	file       string
}

func (l *lockConn) Run(_ context.Context, cmd host.Command) error {
	if cmd.Argv[0] != "flock" {
		_, err := io.WriteString(cmd.Stdout, "somebody")
		return err
	}
	l.file = cmd.Argv[5]
	if l.busy {
		return &host.ExitError{Host: l.host.String(), Name: "flock", Code: busy}
	}
	l.held = true
	io.WriteString(cmd.Stdout, "locked\n")
	_, err := io.Copy(io.Discard, cmd.Stdin)
	l.held = false
	return err
}

// A node that loses its lock, as without power, does not end the work on the others; a master does.
func TestLostLocks(t *testing.T) {
	for role, want := range map[host.Role]bool{host.RoleNode: false, host.RoleMaster: true} {
		c := site(t, 0, bare(t))
		m := c.first()
		m.host.Role = role
		abandoned := false
		c.abandon = func(error) { abandoned = true }
		gone := make(chan struct{})
		close(gone)
		(&lock{Cluster: c}).keep(&heldLock{member: m, gone: gone}, io.Discard)
		if abandoned != want || !m.unlocked.Load() {
			t.Errorf("%s: all work ends: %v", role, abandoned)
		}
	}
}

// A beat of the heart that comes when the host no longer listens, as after a sleep of the delivery machine, does not hide that the lock is gone.
func TestHeartbeatAfterTheLock(t *testing.T) {
	p := newPark(t, 1, 0)
	p.abandon = func(error) {}
	m := p.members[0]
	m.Client.Conn = &answers{host: m.host, answer: func(host.Command) (string, int) { return "locked\n", 0 }}
	l := &lock{Cluster: p.Cluster}
	if err := l.take(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	<-l.held[0].gone
	if _, err := l.held[0].release.(io.Writer).Write([]byte(".")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v, want %v", err, io.ErrClosedPipe)
	}
}
