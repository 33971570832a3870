package execute

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/host/hosttest"
	"github.com/kubefile/kubefile/runner/host/login"
)

// lockable is a session whose master is this machine.
func lockable(t *testing.T, dir string) *Session {
	t.Helper()
	s := reached(0)
	hosttest.Sudo(t)
	h := s.First().Host
	h.Local = true
	conn, err := new(login.Dialer).Dial(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s.First().Conn, s.lockDir = conn, dir
	return s
}

func TestOneRunAtATime(t *testing.T) {
	dir := t.TempDir()
	take := func() (*Lock, error) {
		s := lockable(t, dir)
		l := &Lock{Session: s}
		ctx, cancel := context.WithCancelCause(t.Context())
		s.Abandon = cancel
		return l, l.Run(ctx)
	}
	first, err := take()
	if err != nil {
		t.Fatal(err)
	}
	second, err := take()
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "process ") {
		t.Errorf("while it is held: %v", err)
	}
	if err := errors.Join(second.Close(), first.Close()); err != nil {
		t.Fatal(err)
	}
	third, err := take()
	if err != nil {
		t.Fatalf("after it was given back: %v", err)
	}
	third.Close()
}

// Two runs that were given different masters of a cluster keep each other out.
func TestLockIsOnEveryMaster(t *testing.T) {
	dir := t.TempDir()
	all, one := lockable(t, dir), lockable(t, dir)
	second := reached(1).Members[1]
	second.Host.Role, second.Conn = host.RoleMaster, all.First().Conn
	all.First().Conn = &locking{}
	all.Members = append(all.Members, second)
	held := &Lock{Session: all}
	if err := held.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := (&Lock{Session: one}).Run(t.Context()); !errors.Is(err, ErrLocked) {
		t.Errorf("the other run gets %v", err)
	}
	if err := held.Close(); err != nil {
		t.Error(err)
	}
}

// locking is a host whose lock is free, and held until whoever has it lets go.
type locking struct{ idle }

func (*locking) Run(_ context.Context, cmd host.Command) error {
	io.WriteString(cmd.Stdout, "locked\n")
	_, err := io.Copy(io.Discard, cmd.Stdin)
	return err
}

// A delivery machine that has gone away silently does not hold the lock for ever.
func TestLockNeedsToHearOfItsHolder(t *testing.T) {
	file := t.TempDir() + "/lock"
	silent, alive, err := os.Pipe() // stays open, says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	defer alive.Close()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", lockScript, "sh", "somebody", file, "1")
	cmd.Stdin = silent
	if out, err := cmd.Output(); string(out) != "locked\n" || err != nil {
		t.Fatalf("%q, %v", out, err)
	}
	if note, err := os.ReadFile(file); string(note) != "somebody\n" {
		t.Errorf("the note is %q, %v", note, err)
	}
}

// Every host is locked, whatever the clusters' names are, and all are free again when one was busy.
func TestLockIsOnEveryHost(t *testing.T) {
	s := reached(3)
	var busyHost host.Host
	var conns []*lockConn
	for _, m := range s.Members {
		conn := &lockConn{idle: idle{m.Host}}
		m.Conn = conn
		conns = append(conns, conn)
	}
	for _, taken := range []int{-1, 2} {
		for i, conn := range conns {
			conn.busy, conn.held = i == taken, false
			if conn.busy {
				busyHost = conn.host
			}
		}
		l := &Lock{Session: s}
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
	idle
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
		s := reached(0)
		m := s.First()
		m.Host.Role = role
		abandoned := false
		s.Abandon = func(error) { abandoned = true }
		gone := make(chan struct{})
		close(gone)
		(&Lock{Session: s}).keep(&heldLock{member: m, gone: gone}, io.Discard)
		if abandoned != want || !m.unlocked.Load() {
			t.Errorf("%s: all work ends: %v", role, abandoned)
		}
	}
}

// locked is a host that says it is locked, and no longer listens.
type locked struct{ idle }

func (*locked) Run(_ context.Context, cmd host.Command) error {
	_, err := io.WriteString(cmd.Stdout, "locked\n")
	return err
}

// A beat of the heart that comes when the host no longer listens, as after a sleep of the delivery machine, does not hide that the lock is gone.
func TestHeartbeatAfterTheLock(t *testing.T) {
	s := reached(0)
	m := s.First()
	m.Conn = &locked{idle{m.Host}}
	l := &Lock{Session: s}
	if err := l.take(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	<-l.held[0].gone
	if _, err := l.held[0].release.(io.Writer).Write([]byte(".")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v, want %v", err, io.ErrClosedPipe)
	}
}
