package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/kubefile/kubefile/runner/host/hosttest"
)

// sshd is an OpenSSH server to test with.
type sshd struct{ *hosttest.Server }

func startSSHD(t *testing.T, options ...string) *sshd {
	t.Helper()
	s := &sshd{hosttest.New(t)}
	s.Start(t, options...)
	return s
}

// host is the server as a host to log in to with a key.
func (s *sshd) host(key string) Host {
	return Host{Address: s.Address.Addr(), Auth: Auth{User: s.User, Port: s.Address.Port(), KeyFile: s.File(key)}}
}

// dialer accepts any host at first contact and says so in contacts.
func (s *sshd) dialer(contacts *[]string) *Dialer {
	return &Dialer{PinFile: s.File("config dir/known_hosts"), FirstContact: func(h Host, keyType, fingerprint string) error {
		*contacts = append(*contacts, h.String()+" "+keyType+" "+fingerprint)
		return nil
	}}
}

func (s *sshd) dial(t *testing.T) Conn {
	t.Helper()
	var contacts []string
	conn, err := s.dialer(&contacts).Dial(t.Context(), s.host("key"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCommandsOverSSH(t *testing.T) { testCommands(t, startSSHD(t).dial(t)) }

func TestKeys(t *testing.T) {
	s := startSSHD(t)
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
			h.Auth.KeyPassphrase = Secret(test.passphrase)
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
func checkProblem(t *testing.T, err error, h Host, says string) {
	t.Helper()
	if says == "" {
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	var problem *Problem
	if !errors.As(err, &problem) || problem.Host != h.String() || !strings.Contains(err.Error(), says) {
		t.Fatalf("error %v, want %q", err, says)
	}
	if strings.Contains(err.Error(), "correct horse") || strings.Contains(err.Error(), "battery") {
		t.Fatalf("a secret is in the error: %v", err)
	}
}

func TestKeysOfTheAgent(t *testing.T) {
	s := startSSHD(t)
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

func TestHostKeysArePinned(t *testing.T) {
	s := startSSHD(t)
	h := s.host("key")
	var contacts []string
	for range 2 {
		conn, err := s.dialer(&contacts).Dial(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	out, err := exec.Command("ssh-keygen", "-lf", s.File("host_key")).Output()
	if err != nil {
		t.Fatal(err)
	}
	if len(contacts) != 1 || !strings.Contains(string(out), strings.Fields(contacts[0])[2]) {
		t.Fatalf("first contacts %q, the key is %s", contacts, out)
	}
	pins := s.File("config dir/known_hosts")
	if info, err := os.Stat(pins); err != nil || info.Mode() != 0o600 {
		t.Fatal(info.Mode(), err)
	}
	// OpenSSH itself takes what was pinned.
	args := []string{"-F", "/dev/null", "-o", "UserKnownHostsFile='" + pins + "'", "-o", "StrictHostKeyChecking=yes", "-i", s.File("key"),
		"-p", fmt.Sprint(s.Address.Port()), s.User + "@" + s.Address.Addr().String(), "true"}
	if out, err := exec.Command("ssh", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func TestUnknownHostsAreRefused(t *testing.T) {
	s := startSSHD(t)
	h := s.host("key")
	d := &Dialer{PinFile: s.File("pins")}
	_, err := d.Dial(t.Context(), h)
	checkProblem(t, err, h, "is not known: and new hosts are not accepted")
	d.FirstContact = func(Host, string, string) error { return errors.New("you said no") }
	_, err = d.Dial(t.Context(), h)
	checkProblem(t, err, h, "is not known: you said no; compare it with ssh-keygen -lf")
	if _, err := os.Stat(s.File("pins")); err == nil {
		t.Fatal("a refused key was pinned")
	}
}

func TestChangedHostKey(t *testing.T) {
	s := startSSHD(t)
	h := s.host("key")
	var contacts []string
	conn, err := s.dialer(&contacts).Dial(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	s.Stop()
	hosttest.WriteKey(t, s.File("host_key"), "")
	s.Start(t)
	_, err = s.dialer(&contacts).Dial(t.Context(), h)
	pins := s.File("config dir/known_hosts")
	checkProblem(t, err, h, "its SSH host key has changed")
	checkProblem(t, err, h, pins+":1 says SHA256:")
	if len(contacts) != 1 {
		t.Errorf("a changed key was offered as a new one: %q", contacts)
	}
	// The mend that the message gives.
	_, mend, _ := strings.Cut(err.Error(), "forget its old key: ")
	mend, _, _ = strings.Cut(mend, ";")
	if out, err := exec.Command("sh", "-c", mend).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", mend, err, out)
	}
	conn, err = s.dialer(&contacts).Dial(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// TestKnownHostsOfTheUser has a host whose ECDSA key alone is known, though it
// would rather show another.
func TestKnownHostsOfTheUser(t *testing.T) {
	s := startSSHD(t)
	for _, algorithm := range []string{"ecdsa", "rsa"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", algorithm, "-N", "", "-f", s.File(algorithm)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	s.Stop()
	s.Start(t, "HostKey "+s.File("ecdsa"), "HostKey "+s.File("rsa"))
	h := s.host("key")
	for _, algorithm := range []string{"ecdsa", "rsa"} {
		data, err := os.ReadFile(s.File(algorithm + ".pub"))
		if err != nil {
			t.Fatal(err)
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey(data)
		if err != nil {
			t.Fatal(err)
		}
		hashed := knownhosts.HashHostname(knownhosts.Normalize(h.endpoint()))
		write(t, s.File("known_hosts"), []byte("# comment\n"+knownhosts.Line([]string{hashed}, key)+"\n"))
		d := &Dialer{KnownHosts: []string{s.File("known_hosts"), s.File("missing")}, PinFile: s.File("pins")}
		conn, err := d.Dial(t.Context(), h)
		if err != nil {
			t.Fatal(algorithm, ": ", err)
		}
		conn.Close()
	}
	write(t, s.File("known_hosts"), []byte("fine\n\nnot a line\n"))
	d := &Dialer{KnownHosts: []string{s.File("known_hosts")}, PinFile: s.File("pins")}
	_, err := d.Dial(t.Context(), h)
	checkProblem(t, err, h, "known_hosts:1")
}

func TestManyHostsPinAtOnce(t *testing.T) {
	var servers []*sshd
	for range 4 {
		servers = append(servers, startSSHD(t))
	}
	var contacts []string
	d := servers[0].dialer(&contacts)
	var wait sync.WaitGroup
	for _, s := range servers {
		wait.Go(func() {
			conn, err := d.Dial(t.Context(), s.host("key"))
			if err != nil {
				t.Error(err)
				return
			}
			conn.Close()
		})
	}
	wait.Wait()
	data, err := os.ReadFile(d.PinFile)
	if err != nil || strings.Count(string(data), "\n") != len(servers) || len(contacts) != len(servers) {
		t.Fatalf("%q, contacts %q, %v", data, contacts, err)
	}
}

func TestMoreCommandsThanSessions(t *testing.T) {
	for _, allowed := range []string{"10", "2"} {
		t.Run("MaxSessions "+allowed, func(t *testing.T) {
			conn := startSSHD(t, "MaxSessions "+allowed).dial(t)
			var wait sync.WaitGroup
			for i := range 12 {
				wait.Go(func() {
					out, err := Output(t.Context(), conn, Command{Argv: []string{"sh", "-c", "sleep 0.1; echo " + fmt.Sprint(i)}})
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
	for says, listener := range map[string]net.Listener{
		"does not answer as an SSH server": silent,
		"not reachable":                    refusing,
		"SSH handshake on port":            wrong,
	} {
		t.Run(says, func(t *testing.T) {
			at := listener.Addr().(*net.TCPAddr).AddrPort()
			h := Host{Address: at.Addr(), Auth: Auth{Port: at.Port(), Password: "correct horse"}}
			d := &Dialer{PinFile: filepath.Join(t.TempDir(), "pins"), Timeout: 300 * time.Millisecond}
			_, err := d.Dial(t.Context(), h)
			checkProblem(t, err, h, says)
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	at := silent.Addr().(*net.TCPAddr).AddrPort()
	if _, err := new(Dialer).Dial(ctx, Host{Address: at.Addr(), Auth: Auth{Port: at.Port()}}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// TestSilentHost stops a host under a running command: the connection is given up.
func TestSilentHost(t *testing.T) {
	s := startSSHD(t)
	relay := hosttest.StartRelay(t, s.Address)
	h := s.host("key")
	h.Auth.Port = relay.Address.Port()
	var contacts []string
	d := s.dialer(&contacts)
	d.KeepAlive = time.Second
	conn, err := d.Dial(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// A long command that says nothing is no reason to give up.
	if err := conn.Run(t.Context(), Command{Argv: []string{"sleep", "4"}}); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, relay.Freeze)
	err = conn.Run(t.Context(), Command{Argv: []string{"sleep", "1000"}})
	if !errors.Is(err, ErrConnectionLost) || !strings.Contains(err.Error(), "stopped answering") || !strings.Contains(err.Error(), h.String()) {
		t.Fatal(err)
	}
	if err := conn.Run(t.Context(), Command{Argv: []string{"true"}}); !errors.Is(err, ErrConnectionLost) {
		t.Fatal("after that: ", err)
	}
}

// TestHostThatGoesAway ends a host under a running command.
func TestHostThatGoesAway(t *testing.T) {
	s := startSSHD(t)
	relay := hosttest.StartRelay(t, s.Address)
	h := s.host("key")
	h.Auth.Port = relay.Address.Port()
	var contacts []string
	conn, err := s.dialer(&contacts).Dial(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	time.AfterFunc(100*time.Millisecond, relay.Cut)
	err = conn.Run(t.Context(), Command{Argv: []string{"sleep", "1000"}, Stdin: zeros{}})
	if !errors.Is(err, ErrConnectionLost) || !strings.Contains(err.Error(), "run the same command again") {
		t.Fatal(err)
	}
}
