package hosttest

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func testShell(t *testing.T, s *Server) {
	s.Start(t, Config{})
	client := s.login(t)
	for line, want := range map[string]string{
		`echo $((1+1)) 'a b'; printf %s "$(echo c)" | cat`: "2 a b\nc",
		`echo "$USER $LOGNAME"`:                            s.User + " " + s.User + "\n",
		`[ "$PWD" = "$HOME" ] && echo home`:                "home\n",
		`echo one; # no comment` + "\necho two":            "one\ntwo\n",
		`cat /dev/stdin </dev/null; cat /proc/$$/stat | cut -d' ' -f5,6 | grep -qx "$$ $$" && echo leader of its session`: "leader of its session\n",
	} {
		if got := output(t, client, line); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
	if got := output(t, client, "readlink /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2"); strings.Count(got, "pipe:") != 3 {
		t.Errorf("files of a command are %q, want pipes", got)
	}
}

func testOutput(t *testing.T, s *Server) {
	s.Start(t, Config{})
	client := s.login(t)
	for _, code := range []int{0, 1, 3, 127, 255} {
		session := open(t, client)
		var stdout, stderr bytes.Buffer
		session.Stdout, session.Stderr = &stdout, &stderr
		err := session.Run(fmt.Sprintf("echo out; echo err >&2; exit %d", code))
		var exit *ssh.ExitError
		if got := errors.As(err, &exit); got != (code != 0) || got && (exit.ExitStatus() != code || exit.Signal() != "") {
			t.Errorf("exit %d: got %v", code, err)
		}
		if stdout.String() != "out\n" || stderr.String() != "err\n" {
			t.Errorf("exit %d: got %q and %q", code, stdout.String(), stderr.String())
		}
	}
	const size = 8 << 20 // more than a window
	if got := len(output(t, client, fmt.Sprintf("head -c %d /dev/zero", size))); got != size {
		t.Errorf("got %d bytes, want %d", got, size)
	}
}

func testSignals(t *testing.T, s *Server) {
	// Under nohup the signal is ignored, in commands too; one that is caught has its default effect in them.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	t.Cleanup(func() { signal.Reset(syscall.SIGHUP) })
	s.Start(t, Config{})
	client := s.login(t)
	for _, name := range []string{"TERM", "KILL", "HUP", "USR1"} {
		err := open(t, client).Run("kill -" + name + " $$")
		var exit *ssh.ExitError
		if !errors.As(err, &exit) || exit.Signal() != name {
			t.Errorf("SIG%s: got %v", name, err)
		}
	}
}

func testInput(t *testing.T, s *Server) {
	s.Start(t, Config{})
	client := s.login(t)
	data := make([]byte, 8<<20)
	rand.Read(data)
	session := open(t, client)
	session.Stdin = bytes.NewReader(data)
	got, err := session.Output("cat") // ends when the end of the input arrives
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("got %d bytes of %d, %v", len(got), len(data), err)
	}
}

// testUnreadInput has a command that ends, one that closes its input, and one that reads nothing.
func testUnreadInput(t *testing.T, s *Server) {
	s.Start(t, Config{})
	client := s.login(t)
	for _, line := range []string{"exit 3", "exec <&-; sleep 0.5; exit 3"} {
		session := open(t, client)
		input, err := session.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := session.Start(line); err != nil {
			t.Fatal(err)
		}
		sent := make(chan int64, 1)
		go func() { n, _ := io.Copy(input, io.LimitReader(zeros{}, 16<<20)); sent <- n }()
		var exit *ssh.ExitError
		if err := session.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 3 {
			t.Errorf("%s: got %v", line, err)
		}
		<-sent // whoever sends is not blocked for ever
	}
	session := open(t, client)
	input, err := session.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Start("sleep 1000"); err != nil {
		t.Fatal(err)
	}
	progress := make(chan int64, 1000)
	go func() {
		for sent := int64(0); ; sent += 1 << 20 {
			if _, err := input.Write(make([]byte, 1<<20)); err != nil {
				return
			}
			progress <- sent
		}
	}()
	if sent := settled(progress); sent > 8<<20 {
		t.Errorf("%d bytes were taken for a command that reads nothing", sent)
	}
	if got := output(t, client, "echo other sessions go on"); got != "other sessions go on\n" {
		t.Errorf("got %q", got)
	}
}

// settled returns the last number that arrives before there is no new one for a moment.
func settled(numbers <-chan int64) (last int64) {
	for {
		select {
		case last = <-numbers:
		case <-time.After(300 * time.Millisecond):
			return last
		}
	}
}

func testUnreadOutput(t *testing.T, s *Server) {
	s.Start(t, Config{})
	client := s.login(t)
	session := open(t, client)
	if _, err := session.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := session.Start("yes"); err != nil {
		t.Fatal(err)
	}
	if got := output(t, client, "echo other sessions go on"); got != "other sessions go on\n" {
		t.Errorf("got %q", got)
	}
}

// testChild has a command that ends before its child, which goes on writing.
func testChild(t *testing.T, s *Server) {
	s.Start(t, Config{})
	client := s.login(t)
	session := open(t, client)
	var out bytes.Buffer
	session.Stdout = &out
	err := session.Run("(sleep 0.5; echo late) & echo early; exit 3")
	var exit *ssh.ExitError
	if !errors.As(err, &exit) || exit.ExitStatus() != 3 || out.String() != "early\nlate\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}
}
