package hosttest

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// loginGrace is how long a client may take to log in: LoginGraceTime of sshd_config(5).
const loginGrace = 2 * time.Minute

// server is a running server in this process.
type server struct {
	config      *ssh.ServerConfig
	maxSessions int
	env         []string
	home        string

	work  sync.WaitGroup
	mu    sync.Mutex
	conns map[net.Conn]bool
	pids  map[int]bool // leaders of their process groups
	ended bool
}

// serve starts a server in this process. When the test ends, its connections and commands end too.
func (s *Server) serve(t *testing.T, c Config) (stop func()) {
	t.Helper()
	run := &server{
		config: s.serverConfig(t, c), maxSessions: c.MaxSessions, home: s.File("home"),
		env: []string{
			"USER=" + s.User, "LOGNAME=" + s.User, "HOME=" + s.File("home"), "SHELL=/bin/sh",
			"PATH=" + s.File("bin") + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		},
		conns: make(map[net.Conn]bool), pids: make(map[int]bool),
	}
	listener, err := net.Listen("tcp", s.Address.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close(); run.end() })
	run.work.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			run.work.Go(func() { run.handle(conn) })
		}
	})
	return func() { listener.Close() }
}

// serverConfig says who may log in, and how.
func (s *Server) serverConfig(t *testing.T, c Config) *ssh.ServerConfig {
	t.Helper()
	authorized, err := os.ReadFile(s.File("authorized_keys"))
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	config := &ssh.ServerConfig{ServerVersion: "SSH-2.0-hosttest"}
	config.PublicKeyCallback = func(conn ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if conn.User() == s.User && bytes.Contains(authorized, ssh.MarshalAuthorizedKey(key)) {
			return nil, nil
		}
		return nil, refused
	}
	password := func(conn ssh.ConnMetadata, given []byte) (*ssh.Permissions, error) {
		if conn.User() == s.User && subtle.ConstantTimeCompare(given, []byte(c.Password)) == 1 {
			return nil, nil
		}
		return nil, refused
	}
	switch {
	case c.Password == "":
	case c.Interactive:
		config.KeyboardInteractiveCallback = func(conn ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			answers, err := ask("", "", []string{"Password: "}, []bool{false})
			if err != nil || len(answers) != 1 {
				return nil, refused
			}
			return password(conn, []byte(answers[0]))
		}
	default:
		config.PasswordCallback = password
	}
	for _, name := range c.HostKeys {
		data, err := os.ReadFile(s.File(name))
		if err != nil {
			t.Fatal(err)
		}
		key, err := ssh.ParsePrivateKey(data)
		if err != nil {
			t.Fatal(err)
		}
		config.AddHostKey(key)
	}
	return config
}

// handle serves one connection.
func (s *server) handle(tcp net.Conn) {
	if !s.begin(tcp) {
		return
	}
	defer s.close(tcp)
	tcp.SetDeadline(time.Now().Add(loginGrace))
	conn, channels, requests, err := ssh.NewServerConn(tcp, s.config)
	if err != nil {
		return
	}
	defer conn.Close()
	tcp.SetDeadline(time.Time{})
	s.work.Go(func() { ssh.DiscardRequests(requests) }) // keepalives are answered with a failure, as by sshd
	slots := make(chan struct{}, s.maxSessions)
	for opened := range channels {
		if opened.ChannelType() != "session" {
			opened.Reject(ssh.UnknownChannelType, "unsupported channel type")
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			opened.Reject(ssh.ConnectionFailed, "open failed")
			continue
		}
		channel, requests, err := opened.Accept()
		if err != nil {
			return
		}
		one := &session{server: s, channel: channel, release: func() { <-slots }}
		s.work.Go(func() { one.serve(requests) })
	}
}

// begin notes a connection, unless the server has ended.
func (s *server) begin(tcp net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		tcp.Close()
		return false
	}
	s.conns[tcp] = true
	return true
}

func (s *server) close(tcp net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tcp.Close()
	delete(s.conns, tcp)
}

// end closes all connections, kills the commands that still run and waits until all of it is over.
func (s *server) end() {
	s.mu.Lock()
	s.ended = true
	for conn := range s.conns {
		conn.Close()
	}
	for pid := range s.pids {
		syscall.Kill(-pid, syscall.SIGKILL)
	}
	s.mu.Unlock()
	s.work.Wait()
}
