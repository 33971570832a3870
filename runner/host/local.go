package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// localConn runs commands on this machine.
type localConn struct {
	host Host
	root privilege
}

func (c *localConn) Host() Host   { return c.host }
func (c *localConn) Close() error { return nil }

func (c *localConn) Run(ctx context.Context, cmd Command) error {
	argv, stdin, err := wrap(cmd, c.root)
	if err != nil {
		return fmt.Errorf("%s: %w", c.host, err)
	}
	process := exec.CommandContext(ctx, argv[0], argv[1:]...)
	process.Cancel = func() error { return process.Process.Signal(os.Interrupt) }
	process.WaitDelay = terminateDelay
	stderr := &tail{next: cmd.Stderr}
	process.Stdin, process.Stdout, process.Stderr = stdin, cmd.Stdout, stderr
	err = process.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %s: %w", c.host, cmd.name(), ctx.Err())
	case errors.As(err, &exit):
		return &ExitError{Host: c.host.String(), Name: cmd.name(), Code: exit.ExitCode(), Stderr: stderr.String()}
	case err != nil:
		return fmt.Errorf("%s: %s: %w", c.host, cmd.name(), err)
	}
	return nil
}

// terminateDelay is how long a command may take to end after it was told to.
const terminateDelay = 5 * time.Second
