package commandline

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"
)

// signalError is why a program ends early.
type signalError struct{ syscall.Signal }

func (e signalError) Error() string { return e.String() }

// Is makes a signal a cancellation: whoever looks at the context's cause was told to end, and nothing failed.
func (signalError) Is(target error) bool { return target == context.Canceled }

// Interruptible returns a context that ends with the first SIGINT or SIGTERM. The second ends the program at once, as if no one listened.
func Interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			number, _ := s.(syscall.Signal)
			cancel(signalError{number})
		case <-ctx.Done():
			signal.Stop(signals)
		}
	}()
	return ctx, func() { cancel(context.Canceled) }
}

// interruptedBy is the exit status after an interruption of the context, or by an error.
func interruptedBy(ctx context.Context, err error) (status int, interrupted bool) {
	var by signalError
	switch {
	case errors.As(err, &by) || errors.As(context.Cause(ctx), &by):
		return 128 + int(by.Signal), true
	case ctx.Err() != nil:
		return Interrupted, true
	}
	return 0, false
}

// Wait calls a function that cannot be interrupted, and does not wait for it when the context ends.
func Wait[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := f()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// Terminal is the terminal that a reader is, if it is one.
func Terminal(in io.Reader) (*os.File, bool) {
	file, ok := in.(*os.File)
	return file, ok && term.IsTerminal(int(file.Fd()))
}

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 4096

// Ask asks a question and reads a line.
func Ask(ctx context.Context, in io.Reader, out io.Writer, question string) (string, error) {
	fmt.Fprint(out, question)
	line, err := Wait(ctx, func() (string, error) { return bufio.NewReader(io.LimitReader(in, maxAnswer)).ReadString('\n') })
	if ctx.Err() != nil && question != "" {
		fmt.Fprintln(out)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return strings.TrimRight(line, "\r\n"), err
}

// AskSecret asks a question at a terminal and reads a line without showing it. The terminal is as it was before when it returns.
func AskSecret(ctx context.Context, terminal *os.File, out io.Writer, question string) (string, error) {
	fd := int(terminal.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return "", fmt.Errorf("switching off the echo of the terminal: %w", err)
	}
	k := &keys{Reader: terminal, Writer: out}
	secret, err := Wait(ctx, func() (string, error) { return term.NewTerminal(k, "").ReadPassword(question) })
	switch {
	case ctx.Err() != nil:
		fmt.Fprint(out, "\r\n")
	case k.interrupted:
		err = signalError{syscall.SIGINT} // the terminal makes no signal of the key meanwhile
	case errors.Is(err, io.EOF):
		err = nil
	}
	return secret, errors.Join(err, term.Restore(fd, before))
}

// keys are those that are pressed at a terminal without signals.
type keys struct {
	io.Reader
	io.Writer
	interrupted bool
}

// interruptKey is Ctrl-C.
const interruptKey = 3

func (k *keys) Read(p []byte) (int, error) {
	n, err := k.Reader.Read(p)
	k.interrupted = k.interrupted || bytes.IndexByte(p[:n], interruptKey) >= 0
	return n, err
}
