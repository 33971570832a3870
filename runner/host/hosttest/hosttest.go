// Package hosttest gives tests a host to log in to: a real OpenSSH server on
// loopback, and a line to it that can be frozen and cut. It needs Debian's
// openssh-server.
package hosttest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
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
)

// Server is a real OpenSSH server with keys and files of its own.
type Server struct {
	Dir     string         // host_key; key and encrypted, which may log in
	Address netip.AddrPort // where it listens
	User    string         // who may log in
	Prefix  []string       // of its command line

	process *exec.Cmd
	ended   chan struct{}
}

// New prepares a server; [Server.Start] starts it.
func New(t *testing.T) *Server {
	t.Helper()
	who, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Dir: t.TempDir(), User: who.Username}
	if who.Uid == "0" { // its privilege separation wants this directory, and no other
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	WriteKey(t, s.File("host_key"), "")
	signer := WriteKey(t, s.File("key"), "")
	encrypted := WriteKey(t, s.File("encrypted"), "correct horse")
	authorized := append(ssh.MarshalAuthorizedKey(signer.PublicKey()), ssh.MarshalAuthorizedKey(encrypted.PublicKey())...)
	write(t, s.File("authorized_keys"), authorized)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Address = listener.Addr().(*net.TCPAddr).AddrPort()
	listener.Close()
	return s
}

// File is the path of one of the server's files.
func (s *Server) File(name string) string { return filepath.Join(s.Dir, name) }

// Start starts the server, with lines of sshd_config(5) that come before its own,
// until the test ends or [Server.Stop] is called.
func (s *Server) Start(t *testing.T, options ...string) {
	t.Helper()
	lines := append(options, // the first line that says something counts
		fmt.Sprintf("ListenAddress %s:%d", s.Address.Addr(), s.Address.Port()),
		"HostKey "+s.File("host_key"), "PidFile none", "AuthorizedKeysFile "+s.File("authorized_keys"), "StrictModes no",
		"UsePAM no", "PasswordAuthentication no", "PermitRootLogin yes", "MaxStartups 100")
	write(t, s.File("config"), []byte(strings.Join(lines, "\n")+"\n"))
	log, err := os.OpenFile(s.File("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	argv := append(s.Prefix, "/usr/sbin/sshd", "-D", "-e", "-f", s.File("config"))
	process := exec.Command(argv[0], argv[1:]...)
	process.Stderr = log
	if err := process.Start(); err != nil {
		t.Fatal("these tests need Debian's openssh-server: ", err)
	}
	ended := make(chan struct{})
	go func() { process.Wait(); close(ended) }()
	s.process, s.ended = process, ended
	t.Cleanup(s.Stop)
	for {
		conn, err := net.Dial("tcp", s.Address.String())
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-ended:
			data, _ := os.ReadFile(s.File("log"))
			t.Fatalf("sshd ended: %s", data)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Stop ends the server; connections that were made to it go on.
func (s *Server) Stop() {
	s.process.Process.Kill()
	<-s.ended
}

// WriteKey writes a new private key and returns its signer.
func WriteKey(t *testing.T, file, passphrase string) ssh.Signer {
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

// Relay is a line to a server that can be frozen and cut.
type Relay struct {
	Address netip.AddrPort // leads to the server

	frozen chan struct{}
	mu     sync.Mutex
	conns  []net.Conn
}

// StartRelay makes a line to a server.
func StartRelay(t *testing.T, to netip.AddrPort) *Relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Relay{Address: listener.Addr().(*net.TCPAddr).AddrPort(), frozen: make(chan struct{})}
	t.Cleanup(func() { listener.Close(); r.Cut() })
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to.String())
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

func (r *Relay) copy(to, from net.Conn) {
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

// Freeze lets nothing pass any more, and keeps the connections.
func (r *Relay) Freeze() { close(r.frozen) }

// Cut ends the connections that were made.
func (r *Relay) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, conn := range r.conns {
		conn.Close()
	}
	r.conns = nil
}
