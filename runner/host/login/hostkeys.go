package login

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/kubefile/kubefile/runner/host"
)

// DefaultKnownHosts returns the known_hosts files that ssh reads and that exist.
func DefaultKnownHosts() []string {
	candidates := []string{"/etc/ssh/ssh_known_hosts"}
	if home, err := os.UserHomeDir(); err == nil {
		candidates = append(candidates, filepath.Join(home, ".ssh", "known_hosts"))
	}
	return existing(candidates)
}

// DefaultPinFile returns the file that keys of new hosts are pinned in,
// sealer-run/known_hosts under the user's configuration directory.
func DefaultPinFile() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("where to pin host keys: %w (set HOME or XDG_CONFIG_HOME)", err)
	}
	return filepath.Join(dir, "sealer-run", "known_hosts"), nil
}

func existing(files []string) []string {
	return slices.DeleteFunc(files, func(file string) bool {
		_, err := os.Stat(file)
		return err != nil
	})
}

// knownKeys are the keys in known_hosts files. All connections share them: with hundreds of hosts, reading them for each takes time, and keeping
// them for each takes memory, that grow with the square of the number of hosts.
type knownKeys struct {
	files string // what the files were when they were read
	check ssh.HostKeyCallback
}

// knownKeys returns the keys in files, which are read again when one of them has changed. The caller holds d.contact.
func (d *Dialer) knownKeys(files []string) (*knownKeys, error) {
	var now strings.Builder
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&now, "%q %d %d\n", file, info.Size(), info.ModTime().UnixNano())
	}
	if d.known != nil && d.known.files == now.String() {
		return d.known, nil
	}
	check, err := knownhosts.New(files...)
	if err != nil {
		return nil, err
	}
	d.known = &knownKeys{files: now.String(), check: check}
	return d.known, nil
}

// hostKeys checks the key of one host against the files of a Dialer.
type hostKeys struct {
	dialer     *Dialer
	host       host.Host
	known      *knownKeys // nil once a key is accepted
	accepted   []byte     // the key of the connection
	algorithms []string   // to ask the host for: those its known keys have
	line       net.Conn
	timeout    time.Duration
}

func (d *Dialer) hostKeys(h host.Host, line net.Conn, timeout time.Duration) (*hostKeys, error) {
	d.contact.Lock() // no one is writing PinFile
	defer d.contact.Unlock()
	known, err := d.knownKeys(existing(append(slices.Clone(d.KnownHosts), d.PinFile)))
	if err != nil {
		return nil, &host.Problem{Host: h.String(), What: "known hosts: " + err.Error(), Mend: "correct or remove that line", Cause: err}
	}
	keys := &hostKeys{dialer: d, host: h, known: known, line: line, timeout: timeout}
	keys.algorithms = keys.knownAlgorithms()
	return keys, nil
}

// knownAlgorithms returns the signature algorithms of the keys known for the
// host. Without this the host would choose, and one known by another of its keys
// would look like a changed one. Nil when none is known.
func (k *hostKeys) knownAlgorithms() []string {
	// The question "which keys do you want" is answered to a key that is no host's.
	nobody, err := ssh.NewPublicKey(make(ed25519.PublicKey, ed25519.PublicKeySize))
	if err != nil {
		return nil
	}
	var mismatch *knownhosts.KeyError
	if !errors.As(k.known.check(endpoint(k.host), k.remote(), nobody), &mismatch) {
		return nil
	}
	var algorithms []string
	for _, want := range mismatch.Want {
		offered := []string{want.Key.Type()}
		if want.Key.Type() == ssh.KeyAlgoRSA {
			offered = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
		}
		for _, algorithm := range offered {
			if !slices.Contains(algorithms, algorithm) {
				algorithms = append(algorithms, algorithm)
			}
		}
	}
	return algorithms
}

func (k *hostKeys) remote() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(k.host.Address, port(k.host.Auth)))
}

// check is the ssh.HostKeyCallback. The connection keeps it for each exchange of keys that follows, when only the accepted key counts.
func (k *hostKeys) check(_ string, _ net.Addr, key ssh.PublicKey) error {
	if k.accepted != nil {
		if bytes.Equal(k.accepted, key.Marshal()) {
			return nil
		}
		return &host.Problem{
			Host: k.host.String(), What: "its SSH host key has changed while the connection was open, to " + ssh.FingerprintSHA256(key),
			Mend: "check the host, then run the same command again",
		}
	}
	if err := k.verify(key); err != nil {
		return err
	}
	k.accepted, k.known = key.Marshal(), nil
	return nil
}

// verify checks the key against the files, and asks about an unknown one.
func (k *hostKeys) verify(key ssh.PublicKey) error {
	err := k.known.check(endpoint(k.host), k.remote(), key)
	var mismatch *knownhosts.KeyError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &mismatch) && len(mismatch.Want) > 0:
		want := mismatch.Want[0]
		return &host.Problem{
			Host: k.host.String(),
			What: fmt.Sprintf("its SSH host key has changed: it shows %s %s, but %s:%d says %s",
				key.Type(), ssh.FingerprintSHA256(key), want.Filename, want.Line, ssh.FingerprintSHA256(want.Key)),
			Mend: fmt.Sprintf("if the host was reinstalled, forget its old key: ssh-keygen -R '%s' -f '%s'; if not, someone answers in its place",
				knownhosts.Normalize(endpoint(k.host)), want.Filename),
			Cause: err,
		}
	case errors.As(err, &mismatch):
		return k.firstContact(key)
	}
	return &host.Problem{Host: k.host.String(), What: "its SSH host key is not acceptable: " + err.Error(), Mend: "see the known_hosts line of this host", Cause: err}
}

// firstContact asks about an unknown key and pins it.
func (k *hostKeys) firstContact(key ssh.PublicKey) error {
	fingerprint := ssh.FingerprintSHA256(key)
	refused := func(cause error) error {
		return &host.Problem{
			Host:  k.host.String(),
			What:  fmt.Sprintf("its SSH host key %s %s is not known: %v", key.Type(), fingerprint, cause),
			Mend:  "compare it with ssh-keygen -lf on the host's /etc/ssh/ssh_host_*_key.pub, then accept it",
			Cause: cause,
		}
	}
	if k.dialer.FirstContact == nil {
		return refused(errors.New("and new hosts are not accepted"))
	}
	k.dialer.contact.Lock()
	defer k.dialer.contact.Unlock()
	// A person may be reading: the handshake's deadline waits.
	k.line.SetDeadline(time.Time{})
	if err := k.dialer.FirstContact(k.host, key.Type(), fingerprint); err != nil {
		return refused(err)
	}
	k.line.SetDeadline(time.Now().Add(k.timeout))
	return k.pin(key)
}

// pin appends the key to the pin file.
func (k *hostKeys) pin(key ssh.PublicKey) error {
	file := k.dialer.PinFile
	entry := knownhosts.Line([]string{knownhosts.Normalize(endpoint(k.host))}, key) + "\n"
	if err := appendLine(file, entry); err != nil {
		return &host.Problem{Host: k.host.String(), What: "pinning its host key: " + err.Error(), Mend: "make that file writable", Cause: err}
	}
	return nil
}

// appendLine appends one line to a private file, after a newline if the file's
// last line has none (an editor, or an interrupted write).
func appendLine(file, line string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	old, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(old) > 0 && !bytes.HasSuffix(old, []byte("\n")) {
		line = "\n" + line
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line)
	return errors.Join(err, f.Close())
}
