//go:build sshd

package login

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/host/hosttest"
)

func newOpenSSH(t *testing.T) *hosttest.Server { return hosttest.NewOpenSSH(t, nil) }

func TestOpenSSH(t *testing.T) { testSSH(t, newOpenSSH) }

// OpenSSH itself shows the fingerprint that we show, takes what was pinned, and forgets it by the
// command that we give.
func TestPinsAreOpenSSHs(t *testing.T) {
	s := &sshServer{Server: newOpenSSH(t)}
	s.Start(t, hosttest.Config{})
	h := s.host("key")
	var contacts []string
	dial := func() error {
		conn, err := s.dialer(&contacts).Dial(t.Context(), h)
		if err == nil {
			conn.Close()
		}
		return err
	}
	if err := dial(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ssh-keygen", "-lf", s.File("host_key")).Output()
	if err != nil {
		t.Fatal(err)
	}
	if len(contacts) != 1 || !strings.Contains(string(out), strings.Fields(contacts[0])[2]) {
		t.Fatalf("first contacts %q, the key is %s", contacts, out)
	}
	args := []string{"-F", "/dev/null", "-o", "UserKnownHostsFile='" + s.File("config dir/known_hosts") + "'", "-o", "StrictHostKeyChecking=yes", "-i", s.File("key"),
		"-p", fmt.Sprint(s.Address.Port()), s.User + "@" + s.Address.Addr().String(), "true"}
	if out, err := exec.Command("ssh", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.Stop()
	hosttest.WriteKey(t, s.File("host_key"), "")
	s.Start(t, hosttest.Config{})
	err = dial()
	checkProblem(t, err, h, "its SSH host key has changed")
	_, forget, _ := strings.Cut(err.Error(), "forget its old key: ")
	forget, _, _ = strings.Cut(forget, ";")
	if out, err := exec.Command("sh", "-c", forget).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", forget, err, out)
	}
	if err := dial(); err != nil {
		t.Fatal(err)
	}
}
