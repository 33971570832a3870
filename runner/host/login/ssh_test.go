package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/host/hosttest"
)

func TestSSH(t *testing.T) { testSSH(t, hosttest.New) }

// testSSH tests the connection to a host by a server of some kind.
func testSSH(t *testing.T, create func(*testing.T) *hosttest.Server) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s *sshServer)
	}{
		{"commands", testCommandsOverSSH},
		{"keys", testKeys},
		{"keys of the agent", testKeysOfTheAgent},
		{"more commands than sessions", testMoreCommandsThanSessions},
		{"a silent host", testSilentHost},
		{"a host that goes away", testHostThatGoesAway},
		{"host keys are pinned", testHostKeysArePinned},
		{"unknown hosts are refused", testUnknownHostsAreRefused},
		{"a changed host key", testChangedHostKey},
		{"known hosts of the user", testKnownHostsOfTheUser},
		{"many hosts pin at once", testManyHostsPinAtOnce},
		{"limits", testLimitsOverSSH},
		{"limit of a silent host", testLimitOfSilentHost},
		{"waiting is told", testWaitingIsTold},
		{"all hosts are connected", testConnectReachesAllHosts},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, &sshServer{create(t), create}) })
	}
}

// sshServer is an SSH server to test with.
type sshServer struct {
	*hosttest.Server
	create func(*testing.T) *hosttest.Server
}

// another is a new server of the same kind.
func (s *sshServer) another(t *testing.T) *sshServer { return &sshServer{s.create(t), s.create} }

// host is the server as a host to log in to with a key.
func (s *sshServer) host(key string) host.Host {
	return host.Host{Address: s.Address.Addr(), Auth: host.Auth{User: s.User, Port: s.Address.Port(), KeyFile: s.File(key)}}
}

// dialer accepts any host at first contact and says so in contacts.
func (s *sshServer) dialer(contacts *[]string) *Dialer {
	return &Dialer{PinFile: s.File("config dir/known_hosts"), FirstContact: func(h host.Host, keyType, fingerprint string) error {
		*contacts = append(*contacts, h.String()+" "+keyType+" "+fingerprint)
		return nil
	}}
}

func (s *sshServer) dial(t *testing.T) host.Conn {
	t.Helper()
	var contacts []string
	conn, err := s.dialer(&contacts).Dial(t.Context(), s.host("key"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// dialRelayed starts the server and logs in to it through a relay. keepAlive is that of the dialer; 0 is the default.
func (s *sshServer) dialRelayed(t *testing.T, keepAlive time.Duration) (host.Conn, *hosttest.Relay) {
	t.Helper()
	s.Start(t, hosttest.Config{})
	relay := hosttest.StartRelay(t, s.Address)
	h := s.host("key")
	h.Auth.Port = relay.Address.Port()
	var contacts []string
	d := s.dialer(&contacts)
	d.KeepAlive = keepAlive
	conn, err := d.Dial(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, relay
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func testCommandsOverSSH(t *testing.T, s *sshServer) {
	s.Start(t, hosttest.Config{})
	testCommands(t, s.dial(t))
}

func testKeys(t *testing.T, s *sshServer) {
	s.Authorize(t, hosttest.WriteKey(t, s.File("encrypted"), "correct horse"))
	s.Start(t, hosttest.Config{})
	hosttest.WriteKey(t, s.File("stranger"), "")
	write(t, s.File("garbage"), []byte("no key"))
	for _, test := range []struct {
		key, passphrase, says string
	}{
		{"key", "", ""},
		{"key", "not needed", ""},
		{"encrypted", "correct horse", ""},
		{"encrypted", "", "is encrypted; give its passphrase with --pk-passwd"},
		{"encrypted", "battery staple", "the passphrase does not open the key"},
		{"stranger", "", "was refused; add its public key"},
		{"garbage", "", "private key"},
		{"missing", "", "no such file"},
	} {
		t.Run(test.key+" "+test.passphrase, func(t *testing.T) {
			h := s.host(test.key)
			h.Auth.KeyPassphrase = host.Secret(test.passphrase)
			var contacts []string
			conn, err := s.dialer(&contacts).Dial(t.Context(), h)
			if err == nil {
				conn.Close()
			}
			checkProblem(t, err, h, test.says)
		})
	}
}

// checkProblem checks that an error is none, or names the host and says that.
func checkProblem(t *testing.T, err error, h host.Host, says string) {
	t.Helper()
	if says == "" {
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	var problem *host.Problem
	if !errors.As(err, &problem) || problem.Host != h.String() || !strings.Contains(err.Error(), says) {
		t.Fatalf("error %v, want %q", err, says)
	}
	if strings.Contains(problem.What, h.String()) {
		t.Errorf("%v: the address is in it twice", err)
	}
	if strings.Contains(err.Error(), "correct horse") || strings.Contains(err.Error(), "battery") {
		t.Fatalf("a secret is in the error: %v", err)
	}
}

func testKeysOfTheAgent(t *testing.T, s *sshServer) {
	s.Start(t, hosttest.Config{})
	ring := agent.NewKeyring()
	data, err := os.ReadFile(s.File("key"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParseRawPrivateKey(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", s.File("agent.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go agent.ServeAgent(ring, conn)
		}
	}()
	t.Setenv("HOME", s.Dir) // no key of whoever runs the test
	var contacts []string
	h := s.host("")
	h.Auth.KeyFile = ""
	d := s.dialer(&contacts)
	_, err = d.Dial(t.Context(), h)
	checkProblem(t, err, h, "no key of ssh-agent or ~/.ssh is accepted; give a password (-p) or a key (--pk)")
	d.AgentSocket = s.File("agent.sock")
	conn, err := d.Dial(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if err := os.Mkdir(s.File(".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, s.File(".ssh/id_ed25519"), data)
	d.AgentSocket = ""
	if conn, err = d.Dial(t.Context(), h); err != nil {
		t.Fatal("the key in ~/.ssh: ", err)
	}
	conn.Close()
}

func testMoreCommandsThanSessions(t *testing.T, s *sshServer) {
	t.Parallel() // it mostly waits
	for _, allowed := range []int{10, 2} {
		t.Run(fmt.Sprint("MaxSessions ", allowed), func(t *testing.T) {
			s := s.another(t)
			s.Start(t, hosttest.Config{MaxSessions: allowed})
			conn := s.dial(t)
			var wait sync.WaitGroup
			for i := range 12 {
				wait.Go(func() {
					out, err := host.Output(t.Context(), conn, host.Command{Argv: []string{"sh", "-c", "sleep 0.1; echo " + fmt.Sprint(i)}})
					if err != nil || string(out) != fmt.Sprintln(i) {
						t.Errorf("%q, %v", out, err)
					}
				})
			}
			wait.Wait()
		})
	}
}

func TestUnreachable(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	refusing, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing.Close()
	wrong, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Close()
	go func() {
		for {
			conn, err := wrong.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
			conn.Close()
		}
	}()
	for says, server := range map[string]struct {
		net.Listener
		timeout time.Duration
	}{
		"does not answer as an SSH server": {silent, time.Second},
		"not reachable":                    {refusing, time.Minute},
		"SSH handshake on port":            {wrong, time.Minute},
	} {
		t.Run(says, func(t *testing.T) {
			at := server.Addr().(*net.TCPAddr).AddrPort()
			h := host.Host{Address: at.Addr(), Auth: host.Auth{Port: at.Port(), Password: "correct horse"}}
			d := &Dialer{PinFile: filepath.Join(t.TempDir(), "pins"), Timeout: server.timeout}
			_, err := d.Dial(t.Context(), h)
			checkProblem(t, err, h, says)
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	at := silent.Addr().(*net.TCPAddr).AddrPort()
	if _, err := new(Dialer).Dial(ctx, host.Host{Address: at.Addr(), Auth: host.Auth{Port: at.Port()}}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// testSilentHost stops a host under a running command: the connection is given up.
func testSilentHost(t *testing.T, s *sshServer) {
	t.Parallel() // it mostly waits
	conn, relay := s.dialRelayed(t, time.Second)
	// A long command that says nothing is no reason to give up.
	if err := conn.Run(t.Context(), host.Command{Argv: []string{"sleep", "4"}}); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, relay.Freeze)
	err := conn.Run(t.Context(), host.Command{Argv: []string{"sleep", "1000"}})
	if !errors.Is(err, host.ErrConnectionLost) || !strings.Contains(err.Error(), "stopped answering") || !strings.Contains(err.Error(), conn.Host().String()) {
		t.Fatal(err)
	}
	if err := conn.Run(t.Context(), host.Command{Argv: []string{"true"}}); !errors.Is(err, host.ErrConnectionLost) {
		t.Fatal("after that: ", err)
	}
}

// testHostThatGoesAway ends a host under a running command.
func testHostThatGoesAway(t *testing.T, s *sshServer) {
	t.Parallel() // it mostly waits
	conn, relay := s.dialRelayed(t, 0)
	time.AfterFunc(100*time.Millisecond, relay.Cut)
	err := conn.Run(t.Context(), host.Command{Argv: []string{"sleep", "1000"}, Stdin: zeros{}})
	if !errors.Is(err, host.ErrConnectionLost) || !strings.Contains(err.Error(), "run the same command again") {
		t.Fatal(err)
	}
}
