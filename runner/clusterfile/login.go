package clusterfile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	format "github.com/kubefile/kubefile/imagespec/clusterfile"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/inputfile"
)

// over returns a host's own login, with the cluster's where it says nothing. A password goes with its user and a passphrase with its
// key: who names another user does not offer him the cluster's password.
func over(own, cluster format.SSH) format.SSH {
	login := own
	login.User = cmp.Or(own.User, cluster.User)
	login.Port = cmp.Or(own.Port, cluster.Port)
	if own.Passwd == "" && (own.User == "" || own.User == cluster.User) {
		login.Passwd = cluster.Passwd
	}
	if own.PK == "" {
		login.PK, login.PKPasswd = cluster.PK, cmp.Or(own.PKPasswd, cluster.PKPasswd)
	}
	login.Encrypted = own.Encrypted || (cluster.Encrypted && own.Passwd == "")
	return login
}

// Secrets resolves what a Clusterfile has in place of a password.
type Secrets struct {
	// Password and Passphrase are for logins that name none.
	Password, Passphrase host.Secret
	// Ask asks a person, for `prompt`.
	Ask func(what string) (host.Secret, error)

	asked map[string]host.Secret
}

// maxSecret bounds a password's file, in bytes.
const maxSecret = 4096

// Resolve returns the password that a field means: env:NAME, file:PATH, prompt, or the password itself. what is for the question and
// for errors.
func (s *Secrets) Resolve(what, written string) (host.Secret, error) {
	switch scheme, rest, _ := strings.Cut(written, ":"); {
	case scheme == "env" && rest != "":
		value, ok := os.LookupEnv(rest)
		if !ok || value == "" {
			return "", fmt.Errorf("%s is in the environment variable %s, which is not set", what, rest)
		}
		return host.Secret(value), nil
	case scheme == "file" && rest != "":
		return readSecret(what, rest)
	case written == "prompt":
		return s.ask(what)
	default:
		return host.Secret(written), nil
	}
}

// ask asks once for each thing.
func (s *Secrets) ask(what string) (host.Secret, error) {
	if value, ok := s.asked[what]; ok {
		return value, nil
	}
	if s.Ask == nil {
		return "", fmt.Errorf("%s must be typed in, but there is no terminal: use env:NAME or file:PATH", what)
	}
	value, err := s.Ask(what)
	if err != nil {
		return "", err
	}
	if s.asked == nil {
		s.asked = map[string]host.Secret{}
	}
	s.asked[what] = value
	return value, nil
}

func readSecret(what, name string) (host.Secret, error) {
	f, err := inputfile.Open(ExpandHome(name))
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", what, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	data = bytes.TrimRight(data, "\r\n")
	if err == nil && (len(data) == 0 || len(data) > maxSecret) {
		err = errors.New("it is empty, or too large for a password")
	}
	if err != nil {
		return "", fmt.Errorf("reading %s from %s: %w", what, name, err)
	}
	return host.Secret(data), nil
}

// ExpandHome writes out ~/ as a shell does.
func ExpandHome(name string) string {
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	return name
}

// Unlisted returns the login for hosts of the cluster that the document does not list: spec.ssh, or otherwise if that has no login. It asks no
// person for a password, because such hosts may not exist.
func (c *Cluster) Unlisted(secrets *Secrets, otherwise host.Auth) host.Auth {
	if c.SSH.User == "" && c.SSH.Passwd == "" && c.SSH.PK == "" {
		return otherwise
	}
	known := Secrets{Password: secrets.Password, Passphrase: secrets.Passphrase, asked: secrets.asked}
	login, err := Host{SSH: c.SSH}.Login(&known)
	if err != nil {
		return otherwise
	}
	return login.Auth
}

// Login is the host with its login, ready to connect to.
func (h Host) Login(secrets *Secrets) (host.Host, error) {
	if h.SSH.Encrypted {
		return host.Host{}, fmt.Errorf("%s: ssh.encrypted: the old tool's encryption protects nothing: write the password as env:NAME, file:PATH or prompt",
			h.Address)
	}
	port, err := h.SSH.Port.Number()
	if err != nil {
		return host.Host{}, err
	}
	auth := host.Auth{User: cmp.Or(h.SSH.User, "root"), Port: cmp.Or(port, 22), KeyFile: ExpandHome(h.SSH.PK)}
	auth.Password, auth.KeyPassphrase = secrets.Password, secrets.Passphrase
	if h.SSH.Passwd != "" {
		auth.Password, err = secrets.Resolve("the password of "+auth.User, h.SSH.Passwd)
	}
	if err == nil && h.SSH.PKPasswd != "" {
		auth.KeyPassphrase, err = secrets.Resolve("the passphrase of "+auth.KeyFile, h.SSH.PKPasswd)
	}
	if err != nil {
		return host.Host{}, fmt.Errorf("%s: %w", h.Address, err)
	}
	return host.Host{Address: h.Address, Role: h.Role, Auth: auth}, nil
}
