//go:build sshd

package login

import (
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/host/hosttest"
)

// startPasswordSSHD starts OpenSSH with PAM in a mount namespace of its own,
// where the machine has other users: admin may do everything with sudo and the
// password, trusted without, and guest may not. All have the password "correct
// horse".
func startPasswordSSHD(t *testing.T, options ...string) *sshServer {
	t.Helper()
	return startPasswordSSHDAfter(t, "", options...)
}

// startPasswordSSHDAfter does so after the shell commands in change have run in
// that namespace.
func startPasswordSSHDAfter(t *testing.T, change string, options ...string) *sshServer {
	t.Helper()
	hash, err := exec.Command("openssl", "passwd", "-6", "correct horse").Output()
	if err != nil {
		t.Fatal(err)
	}
	var passwd, shadow strings.Builder
	for id, user := range []string{"root:0", "sshd:100", "admin:2001", "trusted:2002", "guest:2003"} {
		name, uid, _ := strings.Cut(user, ":")
		shell, secret := "/bin/sh", strings.TrimSpace(string(hash))
		if id == 1 {
			shell, secret = "/usr/sbin/nologin", "!"
		}
		passwd.WriteString(name + ":x:" + uid + ":" + uid + "::/:" + shell + "\n")
		shadow.WriteString(name + ":" + secret + ":19000:0:99999:7:::\n")
	}
	sudoers := "Defaults lecture=always\nDefaults use_pty\nDefaults env_reset\nroot ALL=(ALL) ALL\nadmin ALL=(ALL) ALL\ntrusted ALL=(ALL) NOPASSWD: ALL\n" +
		"Defaults secure_path=/sbin:/bin:/usr/sbin:/usr/bin\n" // as on RHEL
	dir := t.TempDir()
	script := change
	for name, content := range map[string]string{"passwd": passwd.String(), "shadow": shadow.String(), "sudoers": sudoers} {
		write(t, filepath.Join(dir, name), []byte(content))
		mode := map[string]string{"passwd": "644", "shadow": "600", "sudoers": "440"}[name]
		script += "chmod " + mode + " '" + dir + "/" + name + "' && mount --bind '" + dir + "/" + name + "' /etc/" + name + " && "
	}
	prefix := []string{"unshare", "--mount", "sh", "-c", script + `exec "$@"`, "sh"}
	s := &sshServer{Server: hosttest.NewOpenSSH(t, prefix, append(options, "UsePAM yes", "PasswordAuthentication yes", "AllowUsers root admin trusted guest")...)}
	s.Start(t, hosttest.Config{})
	return s
}

func TestPasswordsAndSudo(t *testing.T) {
	for _, method := range []string{"PasswordAuthentication yes", "PasswordAuthentication no\nKbdInteractiveAuthentication yes"} {
		s := startPasswordSSHD(t, method)
		for _, test := range []struct {
			user, password, sudo, says string
		}{
			{"root", "correct horse", "", ""},
			{"", "correct horse", "", ""},
			{"root", "battery staple", "", "the password of root was refused; check -u and -p"},
			{"nobody-here", "correct horse", "", "the password of nobody-here was refused"},
			{"admin", "correct horse", "", ""},
			{"admin", "correct horse", "correct horse", ""},
			{"admin", "correct horse", "battery staple", "the login admin is not root, and sudo refused the password"},
			{"trusted", "correct horse", "", ""},
			{"guest", "correct horse", "", "the login guest is not root, and sudo refused the password"},
		} {
			t.Run(method+"/"+test.user+" "+test.password+" "+test.sudo, func(t *testing.T) {
				h := s.host("")
				h.Auth.User, h.Auth.Password, h.Auth.SudoPassword, h.Auth.KeyFile = test.user, host.Secret(test.password), host.Secret(test.sudo), ""
				var contacts []string
				conn, err := s.dialer(&contacts).Dial(t.Context(), h)
				checkProblem(t, err, h, test.says)
				if test.says != "" {
					if strings.Contains(test.says, "sudo") && !errors.Is(err, ErrNoSudo) {
						t.Error(err)
					}
					return
				}
				defer conn.Close()
				checkRoot(t, conn)
			})
		}
	}
}

// checkRoot checks that Root is root, and that the command gets all of its input
// and nothing of the password.
func checkRoot(t *testing.T, conn host.Conn) {
	t.Helper()
	in := bytes.Repeat([]byte("input\n"), 100_000)
	for range 2 { // sudo may remember the password the second time
		out, err := host.Output(t.Context(), conn, host.Command{
			Argv: []string{"sh", "-c", `id -u; echo "$A"; cat`}, Env: map[string]string{"A": "b c"}, Stdin: bytes.NewReader(in), Root: true,
		})
		if err != nil || !bytes.Equal(out, append([]byte("0\nb c\n"), in...)) {
			t.Fatalf("%.60q, %v", out, err)
		}
	}
	for _, env := range []map[string]string{nil, {"A": "1"}} {
		out, err := host.Output(t.Context(), conn, host.Command{Argv: []string{"sh", "-c", `echo "$PATH"`}, Env: env, Root: true})
		if err != nil || !strings.Contains(":"+strings.TrimSpace(string(out))+":", ":/usr/local/bin:") {
			t.Fatalf("PATH of root is %q, %v, want /usr/local/bin in it", out, err)
		}
	}
	out, err := host.Output(t.Context(), conn, host.Command{Argv: []string{"id", "-un"}})
	user := user(conn.Host().Auth)
	if err != nil || strings.TrimSpace(string(out)) != user {
		t.Fatalf("without Root: %q, %v", out, err)
	}
	facts, err := host.Gather(t.Context(), conn, "/nowhere")
	if err != nil {
		t.Fatal(err)
	}
	if want := "/sbin:/bin:/usr/sbin:/usr/bin"; user != "root" && facts.Path != want {
		t.Errorf("PATH of the login is %q, want the secure_path of sudo, %q", facts.Path, want)
	}
	out, err = host.Output(t.Context(), conn, host.Command{Argv: []string{"sh", "-c", "cat /proc/[0-9]*/cmdline 2>/dev/null; true"}, Root: true})
	if err != nil || bytes.Contains(out, []byte("correct horse")) {
		t.Fatalf("the password is in the process list: %v", err)
	}
	err = conn.Run(t.Context(), host.Command{Argv: []string{"sh", "-c", "exit 7"}, Root: true})
	var exit *host.ExitError
	if !errors.As(err, &exit) || exit.Code != 7 {
		t.Fatalf("%v", err)
	}
}

func TestHostWithoutSudo(t *testing.T) {
	dir := t.TempDir()
	s := startPasswordSSHDAfter(t, "mount -t tmpfs tmpfs '"+dir+"' && mkdir '"+dir+"/upper' '"+dir+"/work' && "+
		"mount -t overlay overlay -o 'lowerdir=/usr/bin,upperdir="+dir+"/upper,workdir="+dir+"/work' /usr/bin && rm /usr/bin/sudo && ")
	h := s.host("")
	h.Auth.User, h.Auth.Password, h.Auth.KeyFile = "guest", "correct horse", ""
	var contacts []string
	_, err := s.dialer(&contacts).Dial(t.Context(), h)
	checkProblem(t, err, h, "is not root, and there is no sudo; log in as root (-u root), or install sudo")
}
