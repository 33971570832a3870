package registryproxy

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"

	"golang.org/x/crypto/bcrypt"
)

// maxPassword is the number of bytes of a password that bcrypt uses.
const maxPassword = 72

// Credentials are a name and a password for HTTP Basic (RFC 7617). They format as the name alone.
type Credentials struct{ Username, Password string }

// Format writes the name, whatever the verb is.
func (c Credentials) Format(f fmt.State, _ rune) { f.Write([]byte(c.Username)) }

// Check refuses what HTTP Basic or bcrypt cannot carry.
func (c Credentials) Check() error {
	switch {
	case c.Username == "":
		return errors.New("a password without a username")
	case c.Password == "":
		return fmt.Errorf("username %q without a password", c.Username)
	case strings.Contains(c.Username, ":"):
		return fmt.Errorf("username %q: a colon cannot be sent (RFC 7617)", c.Username)
	case strings.ContainsFunc(c.Username+c.Password, unicode.IsControl):
		return fmt.Errorf("the username or password of %q has a control character", c.Username)
	case len(c.Password) > maxPassword:
		return fmt.Errorf("the password of %q has more than %d bytes, and bcrypt takes no more", c.Username, maxPassword)
	}
	return nil
}

// Line returns the content of a file of credentials. It is a secret: write it with mode 0600.
func (c Credentials) Line() []byte { return []byte(c.Username + ":" + c.Password + "\n") }

// authorization is the header's value.
func (c Credentials) authorization() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+c.Password))
}

// Htpasswd is the content of a file of [Listener.Users], with another salt each time: the username and the bcrypt hash of the password.
func (c Credentials) Htpasswd() ([]byte, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(c.Password), bcrypt.DefaultCost)
	if err != nil {
		return nil, fmt.Errorf("hashing the password of %q: %w", c.Username, err)
	}
	return fmt.Appendf(nil, "%s:%s\n", c.Username, hash), nil
}

// Match reports whether the content of a file of [Listener.Users] is for these credentials.
func (c Credentials) Match(htpasswd []byte) bool {
	username, hash, err := parseLine(htpasswd)
	return err == nil && username == c.Username && bcrypt.CompareHashAndPassword(hash, []byte(c.Password)) == nil
}

// parseLine reads the one line of a file of users or credentials. Its errors tell nothing of it.
func parseLine(data []byte) (username string, secret []byte, err error) {
	line := bytes.TrimSuffix(data, []byte("\n"))
	name, secret, ok := bytes.Cut(line, []byte(":"))
	if !ok || len(name) == 0 || len(secret) == 0 || bytes.ContainsRune(line, '\n') {
		return "", nil, errors.New("expected one line NAME:HASH")
	}
	return string(name), secret, nil
}

func readCredentials(file string) (Credentials, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Credentials{}, fmt.Errorf("reading the seeds' credentials: %w", err)
	}
	username, password, err := parseLine(data)
	if err != nil {
		return Credentials{}, fmt.Errorf("reading the seeds' credentials: %s: %w", file, err)
	}
	return Credentials{Username: username, Password: string(password)}, nil
}

// guard lets a request through that brings the credentials.
type guard struct {
	next     http.Handler
	username string
	hash     []byte
	checking sync.Mutex                        // a hash is made to cost time: those who guess get one processor, not all
	known    atomic.Pointer[[sha256.Size]byte] // what was right before, so that a pull of a hundred blobs costs one hash
}

func newGuard(file string, next http.Handler) (*guard, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the registry's users: %w", err)
	}
	username, hash, err := parseLine(data)
	if err == nil {
		_, err = bcrypt.Cost(hash)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the registry's users: %s: %w", file, err)
	}
	return &guard{next: next, username: username, hash: hash}, nil
}

// ServeHTTP implements [http.Handler].
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	username, password, ok := r.BasicAuth()
	if ok && g.admits(username, password) {
		g.next.ServeHTTP(w, r)
		return
	}
	limitBody(w, r)
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	w.Header().Set("WWW-Authenticate", `Basic realm="cluster registry"`)
	unauthorized.write(w)
}

func (g *guard) admits(username, password string) bool {
	brought := sha256.Sum256([]byte(username + ":" + password))
	if known := g.known.Load(); known != nil && subtle.ConstantTimeCompare(known[:], brought[:]) == 1 {
		return true
	}
	g.checking.Lock()
	defer g.checking.Unlock()
	wrong := bcrypt.CompareHashAndPassword(g.hash, []byte(password)) // for an unknown name, too: the time must not tell
	if subtle.ConstantTimeCompare([]byte(username), []byte(g.username)) != 1 || wrong != nil {
		return false
	}
	g.known.Store(&brought)
	return true
}
