package login

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/host/stream"
)

// localConn runs commands on this machine.
type localConn struct {
	host host.Host
	root privilege
}

func (c *localConn) Host() host.Host { return c.host }
func (c *localConn) Close() error    { return nil }

func (c *localConn) Run(ctx context.Context, cmd host.Command) error {
	id := rand.Text()
	argv, stdin, err := wrap(cmd, c.root, id)
	if err != nil {
		return fmt.Errorf("%s: %w", c.host, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	process := exec.CommandContext(ctx, argv[0], argv[1:]...)
	process.Cancel = func() error { return c.end(id, cmd.Root) }
	process.WaitDelay = terminateDelay
	stderr := &stream.Tail{Next: cmd.Stderr}
	process.Stdout, process.Stderr = cmd.Stdout, stderr
	if err = start(process, stdin, cancel); err == nil {
		err = process.Wait()
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %s: %w", c.host, cmd.Called(), context.Cause(ctx))
	case errors.As(err, &exit):
		return &host.ExitError{Host: c.host.String(), Name: cmd.Called(), Code: exit.ExitCode(), Stderr: stderr.String()}
	case err != nil:
		return fmt.Errorf("%s: %s: %w", c.host, cmd.Called(), err)
	}
	return nil
}

// end ends the command that was started with id.
func (c *localConn) end(id string, root bool) error {
	argv, stdin, err := wrap(endCommand(id, root), c.root, "")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), terminateDelay)
	defer cancel()
	process := exec.CommandContext(ctx, argv[0], argv[1:]...)
	process.Stdin = stdin
	return process.Run()
}

// start starts a process and feeds it. Not by Cmd.Stdin: Wait would wait for the
// reader's end even when the process has ended long before.
func start(process *exec.Cmd, stdin io.Reader, broken func(error)) error {
	if stdin == nil {
		return process.Start()
	}
	pipe, err := process.StdinPipe()
	if err != nil {
		return err
	}
	if err := process.Start(); err != nil {
		return err
	}
	go func() {
		io.Copy(pipe, stream.Input{Reader: stdin, Broken: broken})
		pipe.Close()
	}()
	return nil
}

// terminateDelay is how long a command may take to end after it was told to.
const terminateDelay = 5 * time.Second
