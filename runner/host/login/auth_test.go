package login

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/host/hosttest"
)

func TestPasswords(t *testing.T) {
	for _, interactive := range []bool{false, true} {
		s := &sshServer{Server: hosttest.New(t)}
		s.User = "root" // by name
		s.Start(t, hosttest.Config{Password: "correct horse", Interactive: interactive})
		for _, test := range []struct{ user, password, says string }{
			{"root", "correct horse", ""},
			{"", "correct horse", ""},
			{"root", "battery staple", "the password of root was refused; check -u and -p"},
			{"nobody-here", "correct horse", "the password of nobody-here was refused"},
		} {
			t.Run(fmt.Sprint("interactive ", interactive, "/", test.user, " ", test.password), func(t *testing.T) {
				h := s.host("")
				h.Auth.User, h.Auth.Password, h.Auth.KeyFile = test.user, host.Secret(test.password), ""
				var contacts []string
				conn, err := s.dialer(&contacts).Dial(t.Context(), h)
				if err == nil {
					conn.Close()
				}
				checkProblem(t, err, h, test.says)
			})
		}
	}
}

// sudo programs for [TestBecomingRoot]; the tests with OpenSSH have the real one. asksSudo takes the
// first line of its input for the password if it may ask.
const (
	asksSudo = `#!/bin/sh
for option; do [ "$option" = -n ] && exit 1; done
IFS= read -r password
[ "$password" = "correct horse" ] || { echo "sudo: 1 incorrect password attempt" >&2; exit 1; }
while [ "$1" != -- ]; do shift; done
shift
AS_ROOT=yes exec "$@"
`
	freeSudo = `#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift
AS_ROOT=yes exec "$@"
`
	noSuchSudo = "#!/bin/sh\nexit 127\n"
)

func TestBecomingRoot(t *testing.T) {
	for _, test := range []struct {
		name, program  string
		password, says string
	}{
		{"with a password", asksSudo, "correct horse", ""},
		{"with a wrong password", asksSudo, "battery staple", "is not root, and sudo refused the password"},
		{"without the password", asksSudo, "", "is not root, and sudo requires a password; give it with -p"},
		{"without being asked", freeSudo, "", ""},
		{"without sudo", noSuchSudo, "correct horse", "is not root, and there is no sudo; log in as root (-u root), or install sudo"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &sshServer{Server: hosttest.New(t)}
			s.Program(t, "id", "#!/bin/sh\necho 1000\n")
			s.Program(t, "sudo", test.program)
			s.Start(t, hosttest.Config{})
			h := s.host("key")
			h.Auth.SudoPassword = host.Secret(test.password)
			var contacts []string
			conn, err := s.dialer(&contacts).Dial(t.Context(), h)
			checkProblem(t, err, h, test.says)
			if err != nil {
				if !errors.Is(err, ErrNoSudo) {
					t.Errorf("got %v, want ErrNoSudo", err)
				}
				return
			}
			defer conn.Close()
			for root, want := range map[bool]string{true: "yes b c\ninput\n", false: " b c\ninput\n"} {
				out, err := host.Output(t.Context(), conn, host.Command{
					Argv: []string{"sh", "-c", `echo "$AS_ROOT $A"; cat`}, Env: map[string]string{"A": "b c"}, Stdin: strings.NewReader("input\n"), Root: root,
				})
				if err != nil || string(out) != want {
					t.Errorf("root %v: got %q, %v, want %q", root, out, err, want)
				}
			}
		})
	}
}

// TestOrderOfLogins has a server that only watches: a key that was named comes
// first, a password that was given before keys that were not.
func TestOrderOfLogins(t *testing.T) {
	s := &sshServer{Server: hosttest.New(t)}
	t.Setenv("HOME", s.Dir)
	hostKey := hosttest.WriteKey(t, s.File("other_host_key"), "")
	for _, test := range []struct {
		key, want string
	}{
		{s.File("key"), "none publickey password keyboard-interactive"},
		{"", "none password keyboard-interactive"},
	} {
		var tried []string
		config := &ssh.ServerConfig{
			NoClientAuth: false,
			MaxAuthTries: 10,
			PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
				return nil, errors.New("no")
			},
			PasswordCallback: func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) { return nil, errors.New("no") },
			KeyboardInteractiveCallback: func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
				if answers, err := ask("", "", []string{"Token: "}, []bool{true}); err != nil || answers[0] != "" {
					t.Errorf("a question with echo was answered: %q, %v", answers, err)
				}
				return nil, errors.New("no")
			},
			AuthLogCallback: func(_ ssh.ConnMetadata, method string, _ error) {
				if len(tried) == 0 || tried[len(tried)-1] != method {
					tried = append(tried, method)
				}
			},
		}
		config.AddHostKey(hostKey)
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan struct{})
		go func() {
			defer close(served)
			if conn, err := listener.Accept(); err == nil {
				ssh.NewServerConn(conn, config)
				io.Copy(io.Discard, conn)
			}
		}()
		h := host.Host{Address: s.Address.Addr(), Auth: host.Auth{KeyFile: test.key, Password: "correct horse", Port: listener.Addr().(*net.TCPAddr).AddrPort().Port()}}
		d := &Dialer{PinFile: s.File("pins"), FirstContact: func(host.Host, string, string) error { return nil }}
		_, err = d.Dial(t.Context(), h)
		checkProblem(t, err, h, "refused")
		listener.Close()
		<-served
		if strings.Join(tried, " ") != test.want {
			t.Errorf("key %q: tried %q", test.key, tried)
		}
	}
}
