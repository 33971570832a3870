package hosttest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestServer(t *testing.T) { testServer(t, New) }

// testServer checks what this project relies on in an SSH server.
func testServer(t *testing.T, create func(*testing.T) *Server) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s *Server)
	}{
		{"command lines are a shell's", testShell},
		{"output, errors and status", testOutput},
		{"signals that end a command", testSignals},
		{"input", testInput},
		{"input that is not read", testUnreadInput},
		{"output that is not read", testUnreadOutput},
		{"a child that holds the output", testChild},
		{"requests that are refused", testRefusedRequests},
		{"one command in a session", testSecondCommand},
		{"sessions of a connection", testMaxSessions},
		{"a command whose session is closed", testClosedSession},
		{"a command whose connection is lost", testLostConnection},
		{"logins", testLogins},
		{"a stopped server", testStop},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, create(t)) })
	}
}

// login logs in with a key that may.
func (s *Server) login(t *testing.T) *ssh.Client {
	t.Helper()
	client, err := s.try(t, s.User, ssh.PublicKeys(s.signer(t, "key")))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (s *Server) signer(t *testing.T, name string) ssh.Signer {
	t.Helper()
	data, err := os.ReadFile(s.File(name))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(data)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func (s *Server) try(t *testing.T, user string, methods ...ssh.AuthMethod) (*ssh.Client, error) {
	t.Helper()
	client, err := ssh.Dial("tcp", s.Address.String(), &ssh.ClientConfig{
		User: user, Auth: methods, HostKeyCallback: ssh.FixedHostKey(s.signer(t, "host_key").PublicKey()), Timeout: time.Minute,
	})
	if err == nil {
		t.Cleanup(func() { client.Close() })
	}
	return client, err
}

func open(t *testing.T, client *ssh.Client) *ssh.Session {
	t.Helper()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	return session
}

// output runs a command line that succeeds.
func output(t *testing.T, client *ssh.Client, line string) string {
	t.Helper()
	out, err := open(t, client).Output(line)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return string(out)
}

func testRefusedRequests(t *testing.T, s *Server) {
	s.Start(t, Config{})
	client := s.login(t)
	if ok, _, err := client.SendRequest("keepalive@openssh.com", true, nil); ok || err != nil {
		t.Errorf("a keepalive is answered with %v, %v, want a failure", ok, err)
	}
	session := open(t, client)
	if err := session.Setenv("SECRET", "x"); err == nil {
		t.Error("a variable is accepted")
	}
	if out, err := session.Output(`echo "<$SECRET>"`); err != nil || string(out) != "<>\n" {
		t.Errorf("got %q, %v", out, err)
	}
	_, _, err := client.OpenChannel("unknown@example.com", nil)
	var refused *ssh.OpenChannelError
	if !errors.As(err, &refused) {
		t.Errorf("a channel of an unknown type gives %v", err)
	}
}

func testSecondCommand(t *testing.T, s *Server) {
	s.Start(t, Config{})
	client := s.login(t)
	channel, requests, err := client.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer channel.Close()
	go ssh.DiscardRequests(requests)
	line := ssh.Marshal(struct{ Line string }{"sleep 1000"})
	for _, want := range []bool{true, false} {
		if ok, err := channel.SendRequest("exec", true, line); ok != want || err != nil {
			t.Errorf("got %v, %v, want %v", ok, err, want)
		}
		if !want {
			return
		}
	}
}

func testMaxSessions(t *testing.T, s *Server) {
	s.Start(t, Config{MaxSessions: 2})
	client := s.login(t)
	line := mark(t)
	var sessions []*ssh.Session
	for range 2 {
		session := open(t, client)
		start(t, session, line)
		sessions = append(sessions, session)
	}
	_, err := client.NewSession()
	var refused *ssh.OpenChannelError
	if !errors.As(err, &refused) || refused.Reason != ssh.ConnectionFailed || refused.Message != "open failed" {
		t.Errorf("a third session gives %#v", err)
	}
	other := s.login(t)
	if got := output(t, other, "echo x"); got != "x\n" {
		t.Errorf("another connection: got %q", got)
	}
	// The slot is the command's, not the session's.
	sessions[0].Close()
	if _, err := client.NewSession(); !errors.As(err, &refused) {
		t.Errorf("while the command of a closed session runs, a new one gives %v", err)
	}
}

// mark makes a command line that prints its process and runs until the test ends.
func mark(t *testing.T) (line string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "runs")
	write(t, file, 0o600, nil)
	t.Cleanup(func() { os.Remove(file) })
	return fmt.Sprintf(`trap "" PIPE; echo $$; exec >&- 2>&-; while [ -e '%s' ]; do sleep 0.1; done`, file)
}

// start starts a command line that prints its process, and returns that.
func start(t *testing.T, session *ssh.Session, line string) int {
	t.Helper()
	stdout, err := session.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Start(line); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(stdout, &pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

// testClosedSession: a session that is closed does not end its command, but the command reads the end.
func testClosedSession(t *testing.T, s *Server) {
	s.Start(t, Config{})
	client := s.login(t)
	line := mark(t)
	session := open(t, client)
	pid := start(t, session, line)
	session.Close()
	reads := filepath.Join(t.TempDir(), "reads")
	waiting := open(t, client)
	started := start(t, waiting, `echo $$; exec >&- 2>&-; cat; echo end >'`+reads+`'`)
	waiting.Close()
	waitFor(t, "the command that reads to end", func() bool { return syscall.Kill(started, 0) != nil })
	if data, err := os.ReadFile(reads); err != nil || string(data) != "end\n" {
		t.Errorf("it wrote %q, %v", data, err)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("the command that reads nothing has ended: %v", err)
	}
}

func testLostConnection(t *testing.T, s *Server) {
	s.Start(t, Config{})
	relay := StartRelay(t, s.Address)
	direct := s.Address
	s.Address = relay.Address
	client := s.login(t)
	s.Address = direct
	line := mark(t)
	pid := start(t, open(t, client), line)
	writes := start(t, open(t, client), `echo $$; while sleep 0.1; do echo x; done`)
	relay.Cut()
	waitFor(t, "the command that writes to end", func() bool { return syscall.Kill(writes, 0) != nil })
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("the command that writes nothing has ended: %v", err)
	}
}

func testLogins(t *testing.T, s *Server) {
	s.Start(t, Config{})
	stranger := WriteKey(t, s.File("stranger"), "")
	key := s.signer(t, "key")
	answers := 0
	_, err := s.try(t, s.User, ssh.PublicKeys(stranger), ssh.PasswordCallback(func() (string, error) { answers++; return "x", nil }))
	if err == nil || !strings.Contains(err.Error(), "unable to authenticate") || answers > 0 {
		t.Errorf("a stranger's key gives %v, and %d passwords were asked for", err, answers)
	}
	if _, err := s.try(t, "nobody-here", ssh.PublicKeys(key)); err == nil {
		t.Error("a user who is not there may log in")
	}
	if client, err := s.try(t, s.User, ssh.PublicKeys(stranger, key)); err != nil {
		t.Errorf("the second key gives %v", err)
	} else if got := output(t, client, "echo in"); got != "in\n" {
		t.Errorf("got %q", got)
	}
	many := make([]ssh.Signer, 7)
	for i := range many {
		many[i] = WriteKey(t, s.File("stranger"), "")
	}
	if _, err := s.try(t, s.User, ssh.PublicKeys(append(many, key)...)); err == nil {
		t.Error("after more refusals than MaxAuthTries a key is still taken")
	}
}

func testStop(t *testing.T, s *Server) {
	s.Start(t, Config{})
	client := s.login(t)
	s.Stop()
	if conn, err := net.Dial("tcp", s.Address.String()); err == nil {
		conn.Close()
		t.Error("it still listens")
	}
	if got := output(t, client, "echo on"); got != "on\n" {
		t.Errorf("a connection that was there: got %q", got)
	}
	WriteKey(t, s.File("host_key"), "")
	s.Start(t, Config{})
	if got := output(t, s.login(t), "echo again"); got != "again\n" {
		t.Errorf("after it started again: got %q", got)
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 1000 {
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("waited in vain for ", what)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
