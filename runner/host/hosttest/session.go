package hosttest

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// session is one session of a connection: at most one command.
type session struct {
	server  *server
	channel ssh.Channel
	release func() // gives the connection's slot back
}

// serve answers the requests of a session until the client closes it or the connection ends.
func (s *session) serve(requests <-chan *ssh.Request) {
	var command *command
	for request := range requests {
		ok := false
		var exec struct{ Line string }
		if request.Type == "exec" && command == nil && ssh.Unmarshal(request.Payload, &exec) == nil {
			command = s.start(exec.Line)
			ok = command != nil
		}
		if request.WantReply { // variables are refused, as by sshd without AcceptEnv
			request.Reply(ok, nil)
		}
		if ok {
			s.server.work.Go(func() { s.run(command) })
		}
	}
	if command == nil {
		s.channel.Close()
		s.release()
		return
	}
	command.closePipes() // a command that still runs learns of it when it reads or writes
}

// command is a process, and our ends of its pipes.
type command struct {
	process               *exec.Cmd
	stdin, stdout, stderr *os.File
}

// start starts a command line in a session and process group of its own.
func (s *session) start(line string) *command {
	c := &command{process: exec.Command("/bin/sh", "-c", line)}
	c.process.Args[0] = "sh"
	c.process.Env, c.process.Dir = s.server.env, s.server.home
	c.process.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	theirs, err := c.pipes()
	defer func() {
		for _, file := range theirs {
			file.Close()
		}
	}()
	if err != nil {
		c.closePipes()
		return nil
	}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if s.server.ended || c.process.Start() != nil {
		c.closePipes()
		return nil
	}
	s.server.pids[c.process.Process.Pid] = true
	return c
}

// pipes connects the process, and returns the ends that are its own.
func (c *command) pipes() (theirs []*os.File, err error) {
	stdinReader, stdin, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	stdout, stdoutWriter, err := os.Pipe()
	if err != nil {
		return []*os.File{stdinReader, stdin}, err
	}
	stderr, stderrWriter, err := os.Pipe()
	if err != nil {
		return []*os.File{stdinReader, stdin, stdout, stdoutWriter}, err
	}
	c.stdin, c.stdout, c.stderr = stdin, stdout, stderr
	c.process.Stdin, c.process.Stdout, c.process.Stderr = stdinReader, stdoutWriter, stderrWriter
	return []*os.File{stdinReader, stdoutWriter, stderrWriter}, nil
}

func (c *command) closePipes() {
	for _, file := range []*os.File{c.stdin, c.stdout, c.stderr} {
		file.Close() // refuses to close a nil file, or a second time
	}
}

// run feeds a command and reports its end. The end of the session does not end it.
func (s *session) run(c *command) {
	s.server.work.Go(func() {
		io.Copy(c.stdin, s.channel)
		c.stdin.Close()
		io.Copy(io.Discard, s.channel) // what the command does not read any longer
	})
	var output sync.WaitGroup
	output.Go(func() { io.Copy(s.channel, c.stdout); c.stdout.Close() })
	output.Go(func() { io.Copy(s.channel.Stderr(), c.stderr); c.stderr.Close() })
	err := c.process.Wait()
	s.server.mu.Lock()
	delete(s.server.pids, c.process.Process.Pid)
	s.server.mu.Unlock()
	s.report(err)
	output.Wait() // children may have more to say
	s.channel.CloseWrite()
	s.release()
	s.channel.Close()
}

// report sends how the command ended.
func (s *session) report(err error) {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			s.channel.SendRequest("exit-signal", false, ssh.Marshal(struct {
				Name       string
				CoreDumped bool
				Message    string
				Language   string
			}{signalName(status.Signal()), status.CoreDump(), "", ""}))
			return
		}
	}
	code := uint32(255)
	if err == nil {
		code = 0
	} else if exit != nil {
		code = uint32(exit.ExitCode())
	}
	s.channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{code}))
}

// signalName names a signal as RFC 4254 does, section 6.10.
func signalName(signal syscall.Signal) string {
	switch signal {
	case syscall.SIGABRT:
		return "ABRT"
	case syscall.SIGALRM:
		return "ALRM"
	case syscall.SIGFPE:
		return "FPE"
	case syscall.SIGHUP:
		return "HUP"
	case syscall.SIGILL:
		return "ILL"
	case syscall.SIGINT:
		return "INT"
	case syscall.SIGKILL:
		return "KILL"
	case syscall.SIGPIPE:
		return "PIPE"
	case syscall.SIGQUIT:
		return "QUIT"
	case syscall.SIGSEGV:
		return "SEGV"
	case syscall.SIGTERM:
		return "TERM"
	case syscall.SIGUSR1:
		return "USR1"
	case syscall.SIGUSR2:
		return "USR2"
	}
	return "SIG@openssh.com"
}
