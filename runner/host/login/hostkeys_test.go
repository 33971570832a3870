package login

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/host/hosttest"
)

func testHostKeysArePinned(t *testing.T, s *sshServer) {
	s.Start(t, hosttest.Config{})
	h := s.host("key")
	var contacts []string
	for range 2 {
		conn, err := s.dialer(&contacts).Dial(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	if fingerprint := ssh.FingerprintSHA256(s.hostKey(t)); len(contacts) != 1 || strings.Fields(contacts[0])[2] != fingerprint {
		t.Fatalf("first contacts %q, the key is %s", contacts, fingerprint)
	}
	pins := s.File("config dir/known_hosts")
	if info, err := os.Stat(pins); err != nil || info.Mode() != 0o600 {
		t.Fatal(info.Mode(), err)
	}
}

// hostKey is the public part of the server's key.
func (s *sshServer) hostKey(t *testing.T) ssh.PublicKey {
	t.Helper()
	data, err := os.ReadFile(s.File("host_key"))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(data)
	if err != nil {
		t.Fatal(err)
	}
	return signer.PublicKey()
}

func testUnknownHostsAreRefused(t *testing.T, s *sshServer) {
	s.Start(t, hosttest.Config{})
	h := s.host("key")
	d := &Dialer{PinFile: s.File("pins")}
	_, err := d.Dial(t.Context(), h)
	checkProblem(t, err, h, "is not known: and new hosts are not accepted")
	d.FirstContact = func(host.Host, string, string) error { return errors.New("you said no") }
	_, err = d.Dial(t.Context(), h)
	checkProblem(t, err, h, "is not known: you said no; compare it with ssh-keygen -lf")
	if _, err := os.Stat(s.File("pins")); err == nil {
		t.Fatal("a refused key was pinned")
	}
}

func testChangedHostKey(t *testing.T, s *sshServer) {
	s.Start(t, hosttest.Config{})
	h := s.host("key")
	var contacts []string
	conn, err := s.dialer(&contacts).Dial(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	s.Stop()
	hosttest.WriteKey(t, s.File("host_key"), "")
	s.Start(t, hosttest.Config{})
	_, err = s.dialer(&contacts).Dial(t.Context(), h)
	pins := s.File("config dir/known_hosts")
	checkProblem(t, err, h, "its SSH host key has changed")
	checkProblem(t, err, h, pins+":1 says SHA256:")
	if len(contacts) != 1 {
		t.Errorf("a changed key was offered as a new one: %q", contacts)
	}
	forget := fmt.Sprintf("forget its old key: ssh-keygen -R '%s' -f '%s';", knownhosts.Normalize(endpoint(h)), pins)
	checkProblem(t, err, h, forget) // the tests with OpenSSH run that
	if err := os.Remove(pins); err != nil {
		t.Fatal(err)
	}
	conn, err = s.dialer(&contacts).Dial(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// testKnownHostsOfTheUser has a host one of whose keys alone is known, though it would rather show
// the other.
func testKnownHostsOfTheUser(t *testing.T, s *sshServer) {
	ecdsaKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]ssh.PublicKey{
		"ecdsa": hosttest.SaveKey(t, s.File("ecdsa"), ecdsaKey, "").PublicKey(),
		"rsa":   hosttest.SaveKey(t, s.File("rsa"), rsaKey, "").PublicKey(),
	}
	s.Start(t, hosttest.Config{HostKeys: []string{"ecdsa", "rsa"}})
	h := s.host("key")
	for algorithm, key := range keys {
		hashed := knownhosts.HashHostname(knownhosts.Normalize(endpoint(h)))
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
	_, err = d.Dial(t.Context(), h)
	checkProblem(t, err, h, "known_hosts:1")
}

func testManyHostsPinAtOnce(t *testing.T, s *sshServer) {
	servers := []*sshServer{s, s.another(t), s.another(t), s.another(t)}
	for _, s := range servers {
		s.Start(t, hosttest.Config{})
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

// TestKnownKeysAreShared: connections do not keep all known keys, which are read again only when a file has changed.
func TestKnownKeysAreShared(t *testing.T) {
	file := filepath.Join(t.TempDir(), "known_hosts")
	add := func(h host.Host) ssh.PublicKey {
		t.Helper()
		public, _, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		key, err := ssh.NewPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		if err := appendLine(file, knownhosts.Line([]string{knownhosts.Normalize(endpoint(h))}, key)+"\n"); err != nil {
			t.Fatal(err)
		}
		return key
	}
	one, other := host.Host{Address: netip.MustParseAddr("192.0.2.1")}, host.Host{Address: netip.MustParseAddr("192.0.2.2")}
	key := add(one)
	d := &Dialer{PinFile: file}
	keysOf := func(h host.Host) *hostKeys {
		t.Helper()
		keys, err := d.hostKeys(h, nil, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}
	first, second := keysOf(one), keysOf(other)
	if first.known != second.known {
		t.Error("the files were read twice")
	}
	otherKey := add(other)
	if again := keysOf(other); again.known == second.known {
		t.Error("the file was not read again after a change")
	} else if err := again.check("", nil, otherKey); err != nil {
		t.Errorf("the new key is not accepted: %v", err)
	}
	for range 2 {
		if err := first.check("", nil, key); err != nil {
			t.Errorf("the known key is not accepted: %v", err)
		}
	}
	if first.known != nil {
		t.Error("the connection keeps the known keys")
	}
	var problem *host.Problem
	if err := first.check("", nil, otherKey); !errors.As(err, &problem) || !strings.Contains(err.Error(), "has changed while the connection was open") {
		t.Errorf("another key in the same connection gives %v", err)
	}
}
