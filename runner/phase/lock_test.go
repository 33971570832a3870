package phase

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
)

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
	c.First().Conn = &losing{lose: lost}
	err := Perform(t.Context(), c, []Phase{&execute.Lock{Session: &c.Session}, work{lost}})
	if !errors.Is(err, execute.ErrLockLost) {
		t.Errorf("ended with %v", err)
	}
}
