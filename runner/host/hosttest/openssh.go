//go:build sshd

package hosttest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// NewOpenSSH prepares an OpenSSH server; [Server.Start] starts it. Its configuration begins with the
// given lines of sshd_config(5). The prefix, if any, is the beginning of its command line.
func NewOpenSSH(t *testing.T, prefix []string, lines ...string) *Server {
	t.Helper()
	if os.Geteuid() == 0 { // its privilege separation wants this directory, and no other
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := prepare(t)
	s.start = func(t *testing.T, c Config) func() { return s.runOpenSSH(t, c, prefix, lines) }
	return s
}

// runOpenSSH starts sshd and waits until it listens.
func (s *Server) runOpenSSH(t *testing.T, c Config, prefix, lines []string) (stop func()) {
	t.Helper()
	if c.Password != "" {
		t.Fatal("OpenSSH takes passwords from the system, not from hosttest.Config")
	}
	all := append([]string(nil), lines...) // the first line that says something counts
	for _, name := range c.HostKeys {
		all = append(all, "HostKey "+s.File(name))
	}
	all = append(all, fmt.Sprintf("ListenAddress %s:%d", s.Address.Addr(), s.Address.Port()), fmt.Sprint("MaxSessions ", c.MaxSessions),
		"PidFile none", "AuthorizedKeysFile "+s.File("authorized_keys"), "StrictModes no",
		"UsePAM no", "PasswordAuthentication no", "PermitRootLogin yes", "MaxStartups 100",
		// A bash that sshd starts reads ~/.bashrc, unless it is the second shell of a login. What the tester has there must not matter: it may
		// take long, print, or be killed with the command.
		"SetEnv SHLVL=1")
	write(t, s.File("config"), 0o600, []byte(strings.Join(all, "\n")+"\n"))
	log, err := os.OpenFile(s.File("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	argv := append(append([]string(nil), prefix...), "/usr/sbin/sshd", "-D", "-e", "-f", s.File("config"))
	process := exec.Command(argv[0], argv[1:]...)
	process.Stderr = log
	if err := process.Start(); err != nil {
		t.Fatal("this test needs Debian's openssh-server (make sshd): ", err)
	}
	ended := make(chan struct{})
	go func() { process.Wait(); close(ended) }()
	stop = func() { process.Process.Kill(); <-ended }
	t.Cleanup(stop)
	for {
		conn, err := net.Dial("tcp", s.Address.String())
		if err == nil {
			conn.Close()
			return stop
		}
		select {
		case <-ended:
			data, _ := os.ReadFile(s.File("log"))
			t.Fatalf("sshd ended: %s", data)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
