package commandline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"github.com/urfave/cli/v3"
)

// full is an output that takes nothing.
type full struct{ err error }

func (f full) Write([]byte) (int, error) { return 0, f.err }

// TestUnwrittenOutput: what could not be printed is an error, also of a command that does not look, of help and of a plan with changes. A
// reader that has gone, such as head, is not worth a word.
func TestUnwrittenOutput(t *testing.T) {
	noSpace := &fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.ENOSPC}
	closed := &fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE}
	for _, tt := range []struct {
		args   []string
		out    error
		err    error
		status int
		said   string
	}{
		{nil, noSpace, nil, Failed, "x: the output could not be written: no space left on device\n"},
		{nil, noSpace, ErrPending, Failed, "x: the output could not be written: no space left on device\n"},
		{nil, noSpace, errors.New("no host"), Failed, "x: no host\n"},
		{nil, noSpace, fmt.Errorf("printing: %w", noSpace), Failed, "x: the output could not be written: no space left on device\n"},
		{[]string{"--help"}, noSpace, nil, Failed, "x: the output could not be written: no space left on device\n"},
		{[]string{"--version"}, noSpace, nil, Failed, "x: the output could not be written: no space left on device\n"},
		{[]string{"help"}, noSpace, nil, Failed, "x: the output could not be written: no space left on device\n"},
		{nil, closed, nil, brokenPipe, ""},
		{nil, closed, fmt.Errorf("printing: %w", closed), brokenPipe, ""},
		{[]string{"--help"}, closed, nil, brokenPipe, ""},
		{nil, closed, errors.New("no host"), Failed, "x: no host\n"},
	} {
		var said bytes.Buffer
		program := &cli.Command{Name: "x", Version: "v1", Writer: full{tt.out}, ErrWriter: &said, Action: func(_ context.Context, cmd *cli.Command) error {
			fmt.Fprintln(cmd.Root().Writer, "result")
			return tt.err
		}}
		if status := Execute(t.Context(), program, append([]string{"x"}, tt.args...), nil); status != tt.status || said.String() != tt.said {
			t.Errorf("%q, %v, %v: ends with %d and %q, want %d and %q", tt.args, tt.out, tt.err, status, &said, tt.status, tt.said)
		}
	}
}

func TestExitStatus(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
		said   string
	}{
		{nil, 0, ""},
		{errors.New("no host"), Failed, "x: no host\n"},
		{Usagef("no %s", "-m"), Usage, "x: no -m (see x --help)\n"},
		{fmt.Errorf("plan: %w", ErrPending), Pending, ""},
	} {
		var said bytes.Buffer
		program := &cli.Command{Name: "x", ErrWriter: &said, Action: func(context.Context, *cli.Command) error { return tt.err }}
		if status := Execute(t.Context(), program, []string{"x"}, nil); status != tt.status || said.String() != tt.said {
			t.Errorf("%v ends with %d and %q, want %d and %q", tt.err, status, &said, tt.status, tt.said)
		}
	}
}
