package login

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/inputfile"
)

// maxOffered bounds the keys offered to a host that were not asked for by name:
// sshd ends the conversation after MaxAuthTries (6) refusals, and the password
// still wants its turn.
const maxOffered = 3

// authMethods returns the ways to log in to h, in the order to try them: the key
// that was named, the password that was given, and what ssh itself would offer.
// done releases the agent; it may be called after the handshake.
func (d *Dialer) authMethods(h host.Host) (methods []ssh.AuthMethod, done func(), err error) {
	done = func() {}
	var signers []ssh.Signer
	if h.Auth.KeyFile != "" {
		signer, err := d.keys.load(h.Auth.KeyFile, h.Auth.KeyPassphrase)
		if err != nil {
			return nil, done, keyProblem(h, err)
		}
		signers = append(signers, signer)
	} else {
		if d.AgentSocket != "" {
			signers, done = agentSigners(d.AgentSocket)
		}
		signers = append(signers, d.defaultKeys(h.Auth.KeyPassphrase)...)
		signers = signers[:min(len(signers), maxOffered)]
	}
	var keys, password []ssh.AuthMethod
	if len(signers) > 0 {
		keys = []ssh.AuthMethod{ssh.PublicKeys(signers...)}
	}
	if secret := h.Auth.Password; secret != "" {
		password = []ssh.AuthMethod{
			ssh.Password(secret.Reveal()),
			ssh.KeyboardInteractive(func(_, _ string, questions []string, echos []bool) ([]string, error) {
				answers := make([]string, len(questions))
				for i := range questions {
					if !echos[i] { // what is echoed asks for no password
						answers[i] = secret.Reveal()
					}
				}
				return answers, nil
			}),
		}
	}
	if h.Auth.KeyFile != "" {
		return append(keys, password...), done, nil
	}
	return append(password, keys...), done, nil
}

// authProblem says which login was refused.
func authProblem(h host.Host, err error) error {
	p := &host.Problem{Host: h.String(), Cause: err}
	switch {
	case h.Auth.KeyFile != "" && h.Auth.Password != "":
		p.What = fmt.Sprintf("the login of %s was refused with the key %s and with the password", user(h.Auth), h.Auth.KeyFile)
		p.Mend = "check -u, --pk and -p"
	case h.Auth.KeyFile != "":
		p.What = fmt.Sprintf("the login of %s with the key %s was refused", user(h.Auth), h.Auth.KeyFile)
		p.Mend = "add its public key to the host's ~/.ssh/authorized_keys, or check -u and --pk"
	case h.Auth.Password != "":
		p.What = fmt.Sprintf("the password of %s was refused", user(h.Auth))
		p.Mend = "check -u and -p; if it is right, the host's sshd_config forbids it (PasswordAuthentication, PermitRootLogin): use a key (--pk)"
	default:
		p.What = fmt.Sprintf("the login of %s was refused: no key of ssh-agent or ~/.ssh is accepted", user(h.Auth))
		p.Mend = "give a password (-p) or a key (--pk)"
	}
	return p
}

// keyProblem says what is wrong with a key file of ours.
func keyProblem(h host.Host, err error) error {
	p := &host.Problem{Host: h.String(), What: err.Error(), Cause: err}
	var missing *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &missing):
		p.What = fmt.Sprintf("the key %s is encrypted", h.Auth.KeyFile)
		p.Mend = "give its passphrase with --pk-passwd"
	case errors.Is(err, x509.IncorrectPasswordError):
		p.What = fmt.Sprintf("the passphrase does not open the key %s", h.Auth.KeyFile)
		p.Mend = "check --pk-passwd"
	default:
		p.Mend = "give an OpenSSH or PEM private key with --pk"
	}
	return p
}

// agentLimit bounds what the SSH agent does for one login. Its user may have to touch a key.
const agentLimit = time.Minute

// agentSigners returns the keys that ssh-agent offers; an agent that does not
// answer offers none.
func agentSigners(socket string) ([]ssh.Signer, func()) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, func() {}
	}
	conn.SetDeadline(time.Now().Add(agentLimit))
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		conn.Close()
		return nil, func() {}
	}
	return signers, func() { conn.Close() }
}

// defaultKeys are the private keys that ssh would try (ssh_config(5),
// IdentityFile) and that open without asking.
func (d *Dialer) defaultKeys(passphrase host.Secret) []ssh.Signer {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	var signers []ssh.Signer
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		if signer, err := d.keys.load(filepath.Join(home, ".ssh", name), passphrase); err == nil {
			signers = append(signers, signer)
		}
	}
	return signers
}

// keyCache opens each private key once: deriving the key of an encrypted one is
// slow on purpose, and there may be a hundred hosts.
type keyCache struct {
	mu   sync.Mutex
	keys map[keyID]ssh.Signer
}

type keyID struct {
	file       string
	passphrase host.Secret
}

func (c *keyCache) load(file string, passphrase host.Secret) (ssh.Signer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := keyID{file, passphrase}
	if signer, ok := c.keys[id]; ok {
		return signer, nil
	}
	signer, err := readKey(file, passphrase)
	if err != nil {
		return nil, err
	}
	if c.keys == nil {
		c.keys = make(map[keyID]ssh.Signer)
	}
	c.keys[id] = signer
	return signer, nil
}

// readKey reads a private key; the passphrase is used only when it needs one.
func readKey(file string, passphrase host.Secret) (ssh.Signer, error) {
	f, err := inputfile.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading the private key: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("reading the private key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(data)
	var missing *ssh.PassphraseMissingError
	if errors.As(err, &missing) && passphrase != "" {
		signer, err = ssh.ParsePrivateKeyWithPassphrase(data, []byte(passphrase.Reveal()))
	}
	if err != nil {
		return nil, fmt.Errorf("private key %s: %w", file, err)
	}
	return signer, nil
}
