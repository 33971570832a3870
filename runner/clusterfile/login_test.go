package clusterfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	format "github.com/kubefile/kubefile/imagespec/clusterfile"
	"github.com/kubefile/kubefile/runner/host"
)

func TestOver(t *testing.T) {
	cluster := format.SSH{User: "admin", Passwd: "env:P", PK: "/k", PKPasswd: "env:K", Port: "2222"}
	for _, test := range []struct {
		name      string
		own, want format.SSH
	}{
		{"nothing", format.SSH{}, cluster},
		{"a port", format.SSH{Port: "22"}, format.SSH{User: "admin", Passwd: "env:P", PK: "/k", PKPasswd: "env:K", Port: "22"}},
		{"a password", format.SSH{Passwd: "env:Q"}, format.SSH{User: "admin", Passwd: "env:Q", PK: "/k", PKPasswd: "env:K", Port: "2222"}},
		{"the same user", format.SSH{User: "admin"}, cluster},
		{"another user is not offered the password", format.SSH{User: "root"}, format.SSH{User: "root", PK: "/k", PKPasswd: "env:K", Port: "2222"}},
		{"another key is not offered the passphrase", format.SSH{PK: "/l"}, format.SSH{User: "admin", Passwd: "env:P", PK: "/l", Port: "2222"}},
		{"a passphrase", format.SSH{PKPasswd: "env:L"}, format.SSH{User: "admin", Passwd: "env:P", PK: "/k", PKPasswd: "env:L", Port: "2222"}},
	} {
		if got := over(test.own, cluster); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
	if !over(format.SSH{}, format.SSH{Passwd: "x", Encrypted: true}).Encrypted || over(format.SSH{Passwd: "y"}, format.SSH{Passwd: "x", Encrypted: true}).Encrypted {
		t.Error("encrypted goes with the password")
	}
}

func TestSecrets(t *testing.T) {
	dir := write(t, map[string]string{"password": "s3cret\r\n", "empty": "\n", "large": strings.Repeat("x", maxSecret+1), "lines": "a\nb\n"})
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", dir)
	t.Setenv("PASSWORD", "from env")
	t.Setenv("EMPTY", "")
	asked := 0
	secrets := Secrets{Ask: func(what string) (host.Secret, error) {
		if asked++; strings.Contains(what, "nobody") {
			return "", errors.New("no answer")
		}
		return host.Secret("answer to " + what), nil
	}}
	for _, test := range []struct{ what, written, want, says string }{
		{"", "", "", ""},
		{"", "plain", "plain", ""},
		{"", "p:a$s s", "p:a$s s", ""},
		{"", "env:", "env:", ""},
		{"", "env:PASSWORD", "from env", ""},
		{"the password", "env:NOT_SET", "", "the password is in the environment variable NOT_SET, which is not set"},
		{"the password", "env:EMPTY", "", "EMPTY, which is not set"},
		{"", "file:" + filepath.Join(dir, "password"), "s3cret", ""},
		{"", "file:~/password", "s3cret", ""},
		{"", "file:~/lines", "a\nb", ""},
		{"the password", "file:~/empty", "", "reading the password from ~/empty: it is empty"},
		{"the password", "file:~/large", "", "too large"},
		{"the password", "file:~/none", "", "no such file"},
		{"the password", "file:~/pipe", "", "pipe is a named pipe, not a regular file"},
		{"a", "prompt", "answer to a", ""},
		{"a", "prompt", "answer to a", ""},
		{"b", "prompt", "answer to b", ""},
		{"nobody", "prompt", "", "no answer"},
	} {
		got, err := secrets.Resolve(test.what, test.written)
		if got.Reveal() != test.want || (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s %q: %q, %v, want %q, %q", test.what, test.written, got.Reveal(), err, test.want, test.says)
		}
	}
	if asked != 3 {
		t.Errorf("asked %d times", asked)
	}
	if _, err := new(Secrets).Resolve("the password", "prompt"); err == nil || !strings.Contains(err.Error(), "use env:NAME or file:PATH") {
		t.Errorf("without anybody to ask: %v", err)
	}
}

func TestLogin(t *testing.T) {
	t.Setenv("P", "s3cret")
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	read := func(ssh string) Host {
		c, err := Parse("Clusterfile", []byte(strings.Replace(clusterText, "image: k", "image: k, ssh: "+ssh, 1)))
		if err != nil {
			t.Fatal(err)
		}
		return c.Cluster.Hosts[0]
	}
	secrets := &Secrets{Password: "of the flag", Passphrase: "of the key"}
	got, err := read("{user: admin, passwd: 'env:P', port: 2222, pk: ~/.ssh/site}").Login(secrets)
	want := host.Auth{User: "admin", Port: 2222, Password: "s3cret", KeyFile: filepath.Join(home, ".ssh/site"), KeyPassphrase: "of the key"}
	if err != nil || got.Auth != want || got.Role != host.RoleMaster || got.Address.String() != "10.0.0.1" {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = read("{}").Login(secrets)
	if want := (host.Auth{User: "root", Port: 22, Password: "of the flag", KeyPassphrase: "of the key"}); err != nil || got.Auth != want {
		t.Errorf("%+v, %v", got, err)
	}
	for ssh, says := range map[string]string{
		"{passwd: s3cret, encrypted: true}":       "10.0.0.1: ssh.encrypted: the old tool's encryption protects nothing",
		"{user: admin, passwd: 'env:NOT_SET'}":    "10.0.0.1: the password of admin is in the environment variable NOT_SET",
		"{pk: /k, pkPasswd: 'file:/nowhere/k'}":   "10.0.0.1: reading the passphrase of /k",
		"{user: admin, passwd: prompt, port: 22}": "10.0.0.1: the password of admin must be typed in, but there is no terminal",
	} {
		_, err := read(ssh).Login(&Secrets{})
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", ssh, err)
		}
	}
}

// TestUnlisted: hosts that the Clusterfile does not list get the first host's own login only if spec.ssh has none.
func TestUnlisted(t *testing.T) {
	const text = "apiVersion: sealer.io/v2\nkind: Cluster\nspec:\n  image: k\n  ssh: %s\n  hosts:\n" +
		"  - {ips: [10.0.0.1], roles: [master], ssh: {user: admin, passwd: own, port: 2222}}\n  - {ips: [10.0.0.2], roles: [node]}\n"
	for ssh, want := range map[string]host.Auth{
		"{passwd: all}":            {User: "root", Port: 22, Password: "all"},
		"{user: ops, pk: /k}":      {User: "ops", Port: 22, Password: "of the flag", KeyFile: "/k"},
		"{}":                       {User: "admin", Port: 2222, Password: "own"},
		"{port: 22}":               {User: "admin", Port: 2222, Password: "own"},
		"{user: ops, passwd: all}": {User: "ops", Port: 22, Password: "all"},
		"{passwd: prompt}":         {User: "admin", Port: 2222, Password: "own"}, // the password was not entered
	} {
		file, err := Parse("Clusterfile", fmt.Appendf(nil, text, ssh))
		if err != nil {
			t.Fatal(err)
		}
		first, err := file.Cluster.Hosts[0].Login(&Secrets{})
		if err != nil {
			t.Fatal(err)
		}
		if got := file.Cluster.Unlisted(&Secrets{Password: "of the flag"}, first.Auth); got != want {
			t.Errorf("%s: got %+v, want %+v", ssh, got, want)
		}
	}
}
