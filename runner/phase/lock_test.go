package phase

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
)

// lockable is a cluster whose first master is this machine.
func lockable(t *testing.T, dir string) *Cluster {
	t.Helper()
	c := site(t, 0, bare(t))
	h := c.Hosts[0].Login
	hosttest.Sudo(t)
	h.Local = true
	conn, err := new(host.Dialer).Dial(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c.first().Conn, c.lockDir = conn, dir
	return c
}

func TestOneRunAtATime(t *testing.T) {
	dir := t.TempDir()
	take := func() (*lock, error) {
		c := lockable(t, dir)
		l := &lock{Cluster: c}
		ctx, cancel := context.WithCancelCause(t.Context())
		c.abandon = cancel
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

// losing is a host whose lock is lost as soon as somebody works.
type losing struct {
	answers
	lose chan struct{}
}

func (l *losing) Run(_ context.Context, cmd host.Command) error {
	io.WriteString(cmd.Stdout, "locked\n")
	<-l.lose
	return errors.New("gone")
}

type work struct {
	begin chan<- struct{}
}

func (work) Title() string { return "Work" }

func (w work) Run(ctx context.Context) error {
	close(w.begin)
	<-ctx.Done()
	return context.Cause(ctx)
}

func TestWorkEndsWithTheLock(t *testing.T) {
	c := site(t, 0, bare(t))
	lost := make(chan struct{})
	c.first().Conn = &losing{lose: lost}
	err := Perform(t.Context(), c, []Phase{&lock{Cluster: c}, work{lost}})
	if !errors.Is(err, ErrLockLost) {
		t.Errorf("ended with %v", err)
	}
}

// locking is a host whose lock is free, and held until whoever has it lets go.
type locking struct{ answers }

func (*locking) Run(_ context.Context, cmd host.Command) error {
	io.WriteString(cmd.Stdout, "locked\n")
	_, err := io.Copy(io.Discard, cmd.Stdin)
	return err
}
