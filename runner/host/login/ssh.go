package login

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/host/stream"
)

// maxSessions is how many commands run on one connection at once. sshd allows
// ten by default (MaxSessions, sshd_config(5)); some are left for others.
const maxSessions = 6

// sshConn is a host at the other end of an SSH connection.
type sshConn struct {
	host     host.Host
	client   *ssh.Client
	line     *line
	root     privilege
	sessions chan struct{} // one token per running session
	dead     atomic.Bool   // given up by keepAlive
}

func (c *sshConn) Host() host.Host { return c.host }
func (c *sshConn) Close() error    { return c.client.Close() }

// keepAlive probes the host until the connection ends, and ends it when the host
// has been silent for three intervals.
func (c *sshConn) keepAlive(interval time.Duration) {
	ended := make(chan struct{})
	go func() { c.client.Wait(); close(ended) }()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var probing atomic.Bool
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		if c.line.silent() > 3*interval {
			c.dead.Store(true)
			c.client.Close()
			return
		}
		// A probe blocks while the line is stuck: never more than one.
		if probing.CompareAndSwap(false, true) {
			go func() {
				defer probing.Store(false)
				// sshd answers an unknown request with a failure, which is an answer.
				c.client.SendRequest("keepalive@openssh.com", true, nil)
			}()
		}
	}
}

func (c *sshConn) Run(ctx context.Context, cmd host.Command) error {
	id := rand.Text()
	argv, stdin, err := wrap(cmd, c.root, id)
	if err != nil {
		return fmt.Errorf("%s: %w", c.host, err)
	}
	select {
	case c.sessions <- struct{}{}:
		defer func() { <-c.sessions }()
	case <-ctx.Done():
		return c.failed(ctx, cmd, nil)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	session, err := c.open(ctx)
	if err != nil {
		return c.failed(ctx, cmd, err)
	}
	defer session.Close()
	stdout, stderr := &stream.Gate{Writer: cmd.Stdout}, &stream.Gate{Writer: &stream.Tail{Next: cmd.Stderr}}
	defer stdout.Close()
	defer stderr.Close()
	session.Stdout, session.Stderr = stdout, stderr
	if err := feed(session, host.Quote(argv), stdin, cancel); err != nil {
		return c.failed(ctx, cmd, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- session.Wait() }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		c.end(id, cmd.Root, ended)
		return c.failed(ctx, cmd, nil)
	}
	var exit *ssh.ExitError
	if errors.As(err, &exit) {
		code := exit.ExitStatus()
		if exit.Signal() != "" {
			code = -1
		}
		return &host.ExitError{Host: c.host.String(), Name: cmd.Called(), Code: code, Stderr: stderr.Writer.(*stream.Tail).String()}
	}
	if err != nil {
		return c.failed(ctx, cmd, err)
	}
	return nil
}

// feed starts a command and feeds it. Not by Session.Stdin: Wait would wait for
// the reader's end even when the command has ended long before.
func feed(session *ssh.Session, line string, stdin io.Reader, broken func(error)) error {
	pipe, err := session.StdinPipe()
	if err != nil {
		return err
	}
	if err := session.Start(line); err != nil {
		return err
	}
	go func() {
		if stdin != nil {
			stream.Copy(pipe, stream.Input{Reader: stdin, Broken: func(err error) { broken(err); session.Close() }})
		}
		pipe.Close()
	}()
	return nil
}

// end ends the command that was started with id, and gives it a moment.
func (c *sshConn) end(id string, root bool, ended <-chan error) {
	late := time.After(terminateDelay)
	go func() {
		session, err := c.client.NewSession()
		if err != nil {
			return
		}
		defer session.Close()
		if argv, stdin, err := wrap(endCommand(id, root), c.root, ""); err == nil {
			session.Stdin = stdin
			session.Run(host.Quote(argv))
		}
	}()
	select {
	case <-ended:
	case <-late:
	}
}

// open opens a session. A host that allows fewer than maxSessions refuses while
// others of ours are running: then it is worth waiting for one of them.
func (c *sshConn) open(ctx context.Context) (*ssh.Session, error) {
	for {
		session, err := c.newSession(ctx)
		var refused *ssh.OpenChannelError
		if err == nil || !errors.As(err, &refused) || len(c.sessions) < 2 {
			return session, err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// newSession opens a session, or gives up when ctx ends: a host that hangs never answers.
func (c *sshConn) newSession(ctx context.Context) (*ssh.Session, error) {
	type answer struct {
		session *ssh.Session
		err     error
	}
	answers := make(chan answer, 1)
	go func() {
		session, err := c.client.NewSession()
		answers <- answer{session, err}
	}()
	select {
	case a := <-answers:
		return a.session, a.err
	case <-ctx.Done():
		go func() {
			if a := <-answers; a.err == nil {
				a.session.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// failed says why a command did not come to its own end.
func (c *sshConn) failed(ctx context.Context, cmd host.Command, err error) error {
	var refused *ssh.OpenChannelError
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %s: %w", c.host, cmd.Called(), context.Cause(ctx))
	case errors.As(err, &refused):
		return fmt.Errorf("%s: %s: the host refuses to run commands: %w (see MaxSessions and ForceCommand in its sshd_config)", c.host, cmd.Called(), err)
	case c.dead.Load():
		return fmt.Errorf("%s: %s: %w: the host stopped answering; check it, then run the same command again", c.host, cmd.Called(), host.ErrConnectionLost)
	}
	return fmt.Errorf("%s: %s: %w (%v); run the same command again", c.host, cmd.Called(), host.ErrConnectionLost, err)
}
