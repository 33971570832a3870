// Package hosttest provides hosts for tests to log in to: an SSH server that runs in the test's own
// process, and a line to it that can be frozen and cut. With the build tag sshd there is OpenSSH's
// server too; both pass the same tests, so that one can replace the other.
package hosttest

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"
)

// Server is an SSH server on loopback with keys and files of its own.
type Server struct {
	Dir     string         // host_key; key, which may log in
	Address netip.AddrPort // where it listens
	User    string         // who may log in

	start func(t *testing.T, c Config) (stop func())
	stop  func()
}

// Config is what one start of a server differs in. The zero value takes the keys that may log in.
type Config struct {
	HostKeys    []string // names of files in Dir; default host_key
	MaxSessions int      // of one connection; default 10

	// Password lets the user log in with it, too. Interactive asks for it by keyboard-interactive
	// instead. Only the server of [New] has them: OpenSSH takes passwords from the system.
	Password    string
	Interactive bool
}

// New prepares a server in this process; [Server.Start] starts it. It runs commands as the user of
// the test, by /bin/sh in an empty directory. Programs in the directory bin of the server's own, such
// as a sudo that asks for nothing, come first in PATH.
func New(t *testing.T) *Server {
	t.Helper()
	s := prepare(t)
	s.start = s.serve
	for _, dir := range []string{"bin", "home"} {
		if err := os.Mkdir(s.File(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.Program(t, "sudo", sudo)
	return s
}

// prepare writes the keys of a server and finds a free port for it.
func prepare(t *testing.T) *Server {
	t.Helper()
	who, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Dir: t.TempDir(), User: who.Username}
	WriteKey(t, s.File("host_key"), "")
	signer := WriteKey(t, s.File("key"), "")
	s.Authorize(t, signer)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Address = listener.Addr().(*net.TCPAddr).AddrPort()
	listener.Close()
	return s
}

// File returns the path of one of the server's files.
func (s *Server) File(name string) string { return filepath.Join(s.Dir, name) }

// Authorize lets a key log in, from the next start on.
func (s *Server) Authorize(t *testing.T, key ssh.Signer) {
	t.Helper()
	before, err := os.ReadFile(s.File("authorized_keys"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	write(t, s.File("authorized_keys"), 0o600, append(before, ssh.MarshalAuthorizedKey(key.PublicKey())...))
}

// Program writes an executable file that the commands of a server of [New] find before those of the
// machine.
func (s *Server) Program(t *testing.T, name, text string) {
	t.Helper()
	write(t, s.File(filepath.Join("bin", name)), 0o755, []byte(text))
}

// Start starts the server, until the test ends or [Server.Stop] is called.
func (s *Server) Start(t *testing.T, c Config) {
	t.Helper()
	if len(c.HostKeys) == 0 {
		c.HostKeys = []string{"host_key"}
	}
	if c.MaxSessions == 0 {
		c.MaxSessions = 10
	}
	s.stop = s.start(t, c)
}

// Stop ends the server; connections that were made to it go on.
func (s *Server) Stop() { s.stop() }

// sudo takes the options that this project gives it, and runs the command as the caller.
const sudo = `#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
`

// Sudo puts a sudo into PATH that runs every command as the caller, until the test ends. With it, an
// ordinary user may ask for root on a connection to this machine.
func Sudo(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "sudo"), 0o755, []byte(sudo))
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
}

func write(t *testing.T, file string, mode os.FileMode, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, mode); err != nil {
		t.Fatal(err)
	}
}
