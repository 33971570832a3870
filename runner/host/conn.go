package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// ErrConnectionLost says that the connection to a host ended under a command.
var ErrConnectionLost = errors.New("connection lost")

// Conn runs commands on one host. It is safe for concurrent use.
type Conn interface {
	// Host says which host this is.
	Host() Host
	// Run runs cmd and waits for it. A command that ran and failed gives an
	// *ExitError; a connection that died gives [ErrConnectionLost]. When ctx
	// ends, the command and its children are told to terminate, and its cause is
	// returned.
	Run(ctx context.Context, cmd Command) error
	// Close ends the connection and every command on it.
	Close() error
}

// Command is one command for a host.
type Command struct {
	// Argv is the command and its arguments, as the process gets them. It shows
	// in the host's process list: no secret belongs here.
	Argv []string
	// Env is added to the environment. It is sent on the standard input, not in
	// the command line. A key need not be a shell identifier.
	Env map[string]string
	// Dir is the working directory; default is the login's own.
	Dir string
	// Stdin is what the command reads; default nothing. Run may return before it
	// was read to its end. When it fails, the command is ended as by ctx, and Run
	// returns the failure.
	Stdin io.Reader
	// Stdout and Stderr receive what the command writes; default nowhere.
	Stdout, Stderr io.Writer
	// Root runs the command as root, by sudo when the login is not root.
	Root bool
	// ReadOnly says that the command changes nothing on the host.
	ReadOnly bool
	// LoginPath leaves PATH as the login, or sudo, sets it. Env and Dir are not used then.
	LoginPath bool

	// Name is what messages call the command; default Argv[0].
	Name string
	// Limit is how long the command may run; default [AskLimit]. With Stall it is counted from the
	// moment when all input was read.
	Limit time.Duration
	// Stall is how long the command may take no input while there is some; default any time.
	Stall time.Duration
	// Shown says that a person sees the output, so that it is progress.
	Shown bool
	// Said returns the last line of output for a notice that the command still runs; may be nil.
	Said func() string
}

// Called is what messages call the command.
func (c Command) Called() string {
	switch {
	case c.Name != "":
		return c.Name
	case len(c.Argv) == 0:
		return "(no command)"
	}
	return c.Argv[0]
}

// ExitError reports a command that ran and failed.
type ExitError struct {
	Host   string // address
	Name   string // argv[0]
	Code   int    // exit code; -1 when a signal or the host ended it
	Stderr string // the last lines it wrote to standard error
}

// Error names host, command, code, and what the command said last.
func (e *ExitError) Error() string {
	text := fmt.Sprintf("%s: %s failed with exit code %d", e.Host, e.Name, e.Code)
	if e.Stderr != "" {
		text += ": " + e.Stderr
	}
	return text
}

// maxOutput bounds what Output keeps of a host's answer.
const maxOutput = 4 << 20

// Output runs cmd and returns what it wrote to standard output, which is an
// error when it exceeds 4 MiB.
func Output(ctx context.Context, conn Conn, cmd Command) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var out bytes.Buffer
	limited := &limitedWriter{w: &out, left: maxOutput, full: func() { cancel(errTooMuch) }}
	cmd.Stdout = limited
	err := conn.Run(ctx, cmd)
	if limited.left < 0 {
		return nil, fmt.Errorf("%s: %s: %w", conn.Host(), cmd.Called(), errTooMuch)
	}
	return out.Bytes(), err
}

// errTooMuch ends a command whose output has no end.
var errTooMuch = fmt.Errorf("wrote more than %d bytes", maxOutput)

// limitedWriter passes on as much as fits and swallows the rest, so that the
// writer on the other side is never blocked. left is negative once it swallowed.
type limitedWriter struct {
	w    io.Writer
	left int
	full func() // called when it swallows
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	if l.left < 0 {
		return len(p), nil
	}
	keep := min(len(p), l.left)
	if l.left -= len(p); l.left < 0 {
		l.full()
	}
	if _, err := l.w.Write(p[:keep]); err != nil {
		return 0, err
	}
	return len(p), nil
}
