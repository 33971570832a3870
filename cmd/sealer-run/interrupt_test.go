//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kubefile/kubefile/cmd/commandline"
)

// asProgram makes the test binary the program itself.
const asProgram = "SEALER_RUN_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// session is the program on a terminal of its own.
type session struct {
	t        *testing.T
	keyboard *os.File // the terminal's other side
	terminal *os.File
	cmd      *exec.Cmd
	before   unix.Termios

	mu      sync.Mutex
	screen  bytes.Buffer
	changed chan struct{}
}

// start runs the program, with input as its standard input, or the terminal if that is nil.
func start(t *testing.T, input *os.File, args ...string) *session {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	before, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	s := &session{t: t, keyboard: keyboard, terminal: terminal, before: *before, changed: make(chan struct{}, 1)}
	home := t.TempDir()
	s.cmd = exec.CommandContext(t.Context(), os.Args[0], args...)
	env := slices.DeleteFunc(os.Environ(), func(variable string) bool { return strings.HasPrefix(variable, "SEALER_PASSWD=") })
	s.cmd.Env = append(env, asProgram+"=1", "HOME="+home, "XDG_STATE_HOME="+home, "XDG_CONFIG_HOME="+home)
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = terminal, terminal, terminal
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 1}
	if input != nil {
		s.cmd.Stdin = input
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go s.watch()
	t.Cleanup(func() { errors.Join(terminal.Close(), keyboard.Close()) })
	return s
}

// watch keeps what the terminal shows.
func (s *session) watch() {
	buffer := make([]byte, 4096)
	for {
		n, err := s.keyboard.Read(buffer)
		s.mu.Lock()
		s.screen.Write(buffer[:n])
		s.mu.Unlock()
		select {
		case s.changed <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (s *session) shown() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.screen.String()
}

// wait returns when the terminal shows a text.
func (s *session) wait(text string) {
	s.t.Helper()
	for !strings.Contains(s.shown(), text) {
		select {
		case <-s.changed:
		case <-s.t.Context().Done():
			s.t.Fatalf("%q was not shown:\n%s", text, s.shown())
		}
	}
}

func (s *session) press(keys string) {
	s.t.Helper()
	if _, err := io.WriteString(s.keyboard, keys); err != nil {
		s.t.Fatal(err)
	}
}

// ended fails unless the program ends with a status, and leaves the terminal as it was.
func (s *session) ended(status int) {
	s.t.Helper()
	var exit *exec.ExitError
	if err := s.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	if got := s.cmd.ProcessState.ExitCode(); got != status {
		s.t.Errorf("ended with %v, want status %d:\n%s", s.cmd.ProcessState, status, s.shown())
	}
	after, err := unix.IoctlGetTermios(int(s.terminal.Fd()), unix.TCGETS)
	if err != nil || *after != s.before {
		s.t.Errorf("the terminal is not as it was: %+v, %v", after, err)
	}
}

const interruptKey = "\x03"

// TestPromptsEndAtCtrlC presses Ctrl-C, or ends the program, while it waits for an answer. Only what changes something can be resumed.
func TestPromptsEndAtCtrlC(t *testing.T) {
	file := t.TempDir() + "/Clusterfile"
	document := "apiVersion: sealer.cloud/v2\nkind: Cluster\nmetadata: {name: c}\n" +
		"spec: {image: " + layout(t) + ", ssh: {passwd: prompt}, hosts: [{ips: [127.0.0.1], roles: [master]}]}\n"
	if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	const resumable, ended = "sealer-run: interrupted; run the same command again to resume\r\n", "sealer-run: interrupted\r\n"
	for name, test := range map[string]struct {
		args   []string
		prompt string
		said   string
	}{
		"password":                 {[]string{"status", "-m", "127.0.0.1", "-p", "-"}, "password: ", ended},
		"password of a run":        {[]string{layout(t), "-m", "127.0.0.1", "-p", "-"}, "password: ", resumable},
		"password of a dry run":    {[]string{layout(t), "-m", "127.0.0.1", "-p", "-", "--dry-run"}, "password: ", ended},
		"password of an apply":     {[]string{"apply", "-f", file}, "the password of root: ", resumable},
		"password of a file":       {[]string{"plan", "-f", file}, "the password of root: ", ended},
		"confirmation of a delete": {[]string{"delete", "--all", "-m", "127.0.0.1"}, "type its name: ", resumable},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, nil, test.args...)
			s.wait(test.prompt)
			s.press(interruptKey)
			s.wait(test.said)
			s.ended(commandline.Interrupted)
		})
		t.Run(name+", SIGTERM", func(t *testing.T) {
			s := start(t, nil, test.args...)
			s.wait(test.prompt)
			if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			s.ended(128 + int(syscall.SIGTERM))
		})
	}
}

// TestInputEndsAtCtrlC: a pipe that stays open does not hold the program either.
func TestInputEndsAtCtrlC(t *testing.T) {
	for _, name := range []string{"-", "/dev/stdin", "/dev/fd/0"} {
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer write.Close()
		s := start(t, read, "plan", "-f", name)
		read.Close()
		if _, err := io.WriteString(write, strings.Repeat("#", 1<<20)); err != nil { // more than a pipe holds: the program reads by now
			t.Fatal(err)
		}
		s.press(interruptKey)
		s.ended(commandline.Interrupted)
	}
}

// TestNamedPipesAreRefused: nothing has to be written into one, or pressed, for the program to end.
func TestNamedPipesAreRefused(t *testing.T) {
	pipe := t.TempDir() + "/pipe"
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, nil, "apply", "-f", pipe)
	s.wait("pipe is a named pipe, not a regular file; give a file, or - for the standard input")
	s.ended(commandline.Failed)
}

// TestAnswers: answers are read from the terminal, and a password is not shown.
func TestAnswers(t *testing.T) {
	s := start(t, nil, "delete", "--all", "-m", "127.0.0.1")
	s.wait("type its name: ")
	s.press("other\n")
	s.wait("not deleted")
	s.ended(commandline.Failed)
	for keys, want := range map[string]string{"\r": "nothing was entered", "\x04": "nothing was entered", "s3cret\r": "127.0.0.1"} {
		s := start(t, nil, "status", "-m", "127.0.0.1", "--port", "1", "-p", "-")
		s.wait("password: ")
		s.press(keys)
		s.wait(want)
		s.ended(commandline.Failed)
		if strings.Contains(s.shown(), "s3cret") {
			t.Errorf("%q: it shows\n%s", keys, s.shown())
		}
	}
}

// TestOutputThatCannotBeWritten: a full disk is an error of every command that prints, and a reader that has gone ends it without a word.
func TestOutputThatCannotBeWritten(t *testing.T) {
	image := layout(t)
	for _, line := range []string{"--help", "help", "version", "version -o json", "--version", "plan --help", "gen --schema", "gen IMAGE -m 10.0.0.1", "inspect IMAGE", "inspect IMAGE -o json", "verify IMAGE"} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer full.Close()
		read, gone, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer gone.Close()
		read.Close()
		args := strings.Fields(strings.ReplaceAll(line, "IMAGE", image))
		stderr, state := printsTo(t, full, args)
		if state.ExitCode() != commandline.Failed || !strings.HasSuffix(stderr, "sealer-run: the output could not be written: no space left on device\n") {
			t.Errorf("%s: got %v, want status %d and why in:\n%s", line, state, commandline.Failed, stderr)
		}
		stderr, state = printsTo(t, gone, args)
		if status := state.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGPIPE || strings.Contains(stderr, "sealer-run:") {
			t.Errorf("%s: got %v, want SIGPIPE and not a word in:\n%s", line, state, stderr)
		}
	}
}

// printsTo runs the program with an output, and returns what it says besides.
func printsTo(t *testing.T, out *os.File, args []string) (string, *os.ProcessState) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	var stderr bytes.Buffer
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stdout, cmd.Stderr = out, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return stderr.String(), cmd.ProcessState
}
