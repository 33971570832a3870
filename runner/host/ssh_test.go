package host

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"
)

// sshd is a real OpenSSH server on loopback, with keys and files of its own.
type sshd struct {
	dir     string
	address netip.AddrPort
	user    string
	prefix  []string // of its command line
	process *exec.Cmd
}

func startSSHD(t *testing.T, options ...string) *sshd {
	t.Helper()
	s := newSSHD(t)
	s.start(t, options...)
	return s
}

func newSSHD(t *testing.T) *sshd {
	t.Helper()
	who, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := &sshd{dir: t.TempDir(), user: who.Username}
	if who.Uid == "0" { // its privilege separation wants this directory, and no other
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writeKey(t, s.file("host_key"), "")
	signer := writeKey(t, s.file("key"), "")
	encrypted := writeKey(t, s.file("encrypted"), "correct horse")
	authorized := append(ssh.MarshalAuthorizedKey(signer.PublicKey()), ssh.MarshalAuthorizedKey(encrypted.PublicKey())...)
	write(t, s.file("authorized_keys"), authorized)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = listener.Addr().(*net.TCPAddr).AddrPort()
	listener.Close()
	return s
}

func (s *sshd) start(t *testing.T, options ...string) {
	t.Helper()
	lines := append(options, // the first line that says something counts
		fmt.Sprintf("ListenAddress %s:%d", s.address.Addr(), s.address.Port()),
		"HostKey "+s.file("host_key"), "PidFile none", "AuthorizedKeysFile "+s.file("authorized_keys"), "StrictModes no",
		"UsePAM no", "PasswordAuthentication no", "PermitRootLogin yes", "MaxStartups 100")
	write(t, s.file("config"), []byte(strings.Join(lines, "\n")+"\n"))
	server, err := exec.LookPath("/usr/sbin/sshd")
	if err != nil {
		t.Fatal("these tests need Debian's openssh-server: ", err)
	}
	log, err := os.OpenFile(s.file("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	argv := append(s.prefix, server, "-D", "-e", "-f", s.file("config"))
	s.process = exec.Command(argv[0], argv[1:]...)
	s.process.Stderr = log
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	for {
		conn, err := net.Dial("tcp", s.address.String())
		if err == nil {
			conn.Close()
			return
		}
		if t.Context().Err() != nil || s.process.ProcessState != nil {
			data, _ := os.ReadFile(s.file("log"))
			t.Fatalf("sshd does not listen: %v\n%s", err, data)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *sshd) stop() {
	s.process.Process.Kill()
	s.process.Wait()
}

func (s *sshd) file(name string) string { return filepath.Join(s.dir, name) }

// host is the server as a host to log in to with a key.
func (s *sshd) host(key string) Host {
	return Host{Address: s.address.Addr(), Auth: Auth{User: s.user, Port: s.address.Port(), KeyFile: s.file(key)}}
}

// dialer accepts any host at first contact and says so in contacts.
func (s *sshd) dialer(contacts *[]string) *Dialer {
	return &Dialer{PinFile: s.file("config dir/known_hosts"), FirstContact: func(h Host, keyType, fingerprint string) error {
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

// writeKey writes a new private key; it returns its signer.
func writeKey(t *testing.T, file, passphrase string) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "test")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "test", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, pem.EncodeToMemory(block))
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
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
	writeKey(t, s.file("stranger"), "")
	write(t, s.file("garbage"), []byte("no key"))
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
	data, err := os.ReadFile(s.file("key"))
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
	listener, err := net.Listen("unix", s.file("agent.sock"))
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
	t.Setenv("HOME", s.dir) // no key of whoever runs the test
	var contacts []string
	h := s.host("")
	h.Auth.KeyFile = ""
	d := s.dialer(&contacts)
	_, err = d.Dial(t.Context(), h)
	checkProblem(t, err, h, "no key of ssh-agent or ~/.ssh is accepted; give a password (-p) or a key (--pk)")
	d.AgentSocket = s.file("agent.sock")
	conn, err := d.Dial(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if err := os.Mkdir(s.file(".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, s.file(".ssh/id_ed25519"), data)
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
	out, err := exec.Command("ssh-keygen", "-lf", s.file("host_key")).Output()
	if err != nil {
		t.Fatal(err)
	}
	if len(contacts) != 1 || !strings.Contains(string(out), strings.Fields(contacts[0])[2]) {
		t.Fatalf("first contacts %q, the key is %s", contacts, out)
	}
	pins := s.file("config dir/known_hosts")
	if info, err := os.Stat(pins); err != nil || info.Mode() != 0o600 {
		t.Fatal(info.Mode(), err)
	}
	// OpenSSH itself takes what was pinned.
	args := []string{"-F", "/dev/null", "-o", "UserKnownHostsFile='" + pins + "'", "-o", "StrictHostKeyChecking=yes", "-i", s.file("key"),
		"-p", fmt.Sprint(s.address.Port()), s.user + "@" + s.address.Addr().String(), "true"}
	if out, err := exec.Command("ssh", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func TestUnknownHostsAreRefused(t *testing.T) {
	s := startSSHD(t)
	h := s.host("key")
	d := &Dialer{PinFile: s.file("pins")}
	_, err := d.Dial(t.Context(), h)
	checkProblem(t, err, h, "is not known: and new hosts are not accepted")
	d.FirstContact = func(Host, string, string) error { return errors.New("you said no") }
	_, err = d.Dial(t.Context(), h)
	checkProblem(t, err, h, "is not known: you said no; compare it with ssh-keygen -lf")
	if _, err := os.Stat(s.file("pins")); err == nil {
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
	s.stop()
	writeKey(t, s.file("host_key"), "")
	s.start(t)
	_, err = s.dialer(&contacts).Dial(t.Context(), h)
	pins := s.file("config dir/known_hosts")
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
		if out, err := exec.Command("ssh-keygen", "-q", "-t", algorithm, "-N", "", "-f", s.file(algorithm)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	s.stop()
	s.start(t, "HostKey "+s.file("ecdsa"), "HostKey "+s.file("rsa"))
	h := s.host("key")
	for _, algorithm := range []string{"ecdsa", "rsa"} {
		data, err := os.ReadFile(s.file(algorithm + ".pub"))
		if err != nil {
			t.Fatal(err)
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey(data)
		if err != nil {
			t.Fatal(err)
		}
		hashed := knownhosts.HashHostname(knownhosts.Normalize(h.endpoint()))
		write(t, s.file("known_hosts"), []byte("# comment\n"+knownhosts.Line([]string{hashed}, key)+"\n"))
		d := &Dialer{KnownHosts: []string{s.file("known_hosts"), s.file("missing")}, PinFile: s.file("pins")}
		conn, err := d.Dial(t.Context(), h)
		if err != nil {
			t.Fatal(algorithm, ": ", err)
		}
		conn.Close()
	}
	write(t, s.file("known_hosts"), []byte("fine\n\nnot a line\n"))
	d := &Dialer{KnownHosts: []string{s.file("known_hosts")}, PinFile: s.file("pins")}
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
	relay := startRelay(t, s.address.String())
	h := s.host("key")
	h.Auth.Port = relay.address.Port()
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
	time.AfterFunc(100*time.Millisecond, relay.freeze)
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
	relay := startRelay(t, s.address.String())
	h := s.host("key")
	h.Auth.Port = relay.address.Port()
	var contacts []string
	conn, err := s.dialer(&contacts).Dial(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	time.AfterFunc(100*time.Millisecond, relay.cut)
	err = conn.Run(t.Context(), Command{Argv: []string{"sleep", "1000"}, Stdin: zeros{}})
	if !errors.Is(err, ErrConnectionLost) || !strings.Contains(err.Error(), "run the same command again") {
		t.Fatal(err)
	}
}

// relay is a line to a server that can be frozen and cut.
type relay struct {
	address netip.AddrPort
	frozen  chan struct{}
	mu      sync.Mutex
	conns   []net.Conn
}

func startRelay(t *testing.T, to string) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{address: listener.Addr().(*net.TCPAddr).AddrPort(), frozen: make(chan struct{})}
	t.Cleanup(func() { listener.Close(); r.cut() })
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				return
			}
			r.mu.Lock()
			r.conns = append(r.conns, in, out)
			r.mu.Unlock()
			go r.copy(in, out)
			go r.copy(out, in)
		}
	}()
	return r
}

func (r *relay) copy(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		select {
		case <-r.frozen:
			return // the connection stays open, and nothing comes
		default:
		}
		if _, werr := to.Write(buffer[:n]); err != nil || werr != nil {
			to.Close()
			return
		}
	}
}

func (r *relay) freeze() { close(r.frozen) }

func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, conn := range r.conns {
		conn.Close()
	}
}
