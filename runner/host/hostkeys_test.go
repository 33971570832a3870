package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/kubefile/kubefile/runner/host/hosttest"
)

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
