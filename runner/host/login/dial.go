package login

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/kubefile/kubefile/runner/host"
)

// Dialer connects to hosts. Its fields are set before the first Dial; Dial is
// safe for concurrent use.
type Dialer struct {
	// KnownHosts are OpenSSH known_hosts files that are honoured and never written.
	KnownHosts []string
	// PinFile is the known_hosts file that keys of new hosts are appended to. It
	// is made, 0600, when it is first needed.
	PinFile string
	// FirstContact is asked about a host whose key is in no file; nil as an
	// answer pins the key. Calls come one at a time. Without the function unknown
	// hosts are refused.
	FirstContact func(h host.Host, keyType, fingerprint string) error
	// Timeout bounds the connection and the handshake; default 15 s.
	Timeout time.Duration
	// KeepAlive is how often an idle connection is probed; default 15 s. A
	// connection that is silent three times as long is given up.
	KeepAlive time.Duration
	// AgentSocket is where ssh-agent listens; empty: none.
	AgentSocket string
	// Waiting is told of commands without progress: after half a minute, and again after each further
	// one. Calls come from many goroutines. May be nil.
	Waiting func(host.Waiting)
	// Quiet replaces the half minute.
	Quiet time.Duration

	contact sync.Mutex // one first contact at a time, writing PinFile, and known
	known   *knownKeys // nil until the first Dial
	keys    keyCache
}

// NewDialer returns a Dialer with the files and the agent that ssh would use on
// this machine, and a pin file under the user's configuration directory.
func NewDialer(firstContact func(h host.Host, keyType, fingerprint string) error) (*Dialer, error) {
	pins, err := DefaultPinFile()
	if err != nil {
		return nil, err
	}
	return &Dialer{
		KnownHosts:   DefaultKnownHosts(),
		PinFile:      pins,
		FirstContact: firstContact,
		AgentSocket:  os.Getenv("SSH_AUTH_SOCK"),
	}, nil
}

// Dial connects to h, logs in, and finds out how to become root there. Errors
// are of type *Problem and say what to do.
func (d *Dialer) Dial(ctx context.Context, h host.Host) (host.Conn, error) {
	if h.Local {
		conn := &localConn{host: h}
		return d.login(ctx, conn, &conn.root)
	}
	conn, err := d.connect(ctx, h)
	if err != nil {
		return nil, err
	}
	return d.login(ctx, conn, &conn.root)
}

// login finds out how to become root, and sets limits to all that is run on a connection.
func (d *Dialer) login(ctx context.Context, conn host.Conn, root *privilege) (host.Conn, error) {
	limited := &watched{Conn: conn, waiting: d.Waiting, quiet: orDefault(d.Quiet, quiet)}
	var err error
	if *root, err = findPrivilege(ctx, limited); err != nil {
		conn.Close()
		return nil, err
	}
	return limited, nil
}

// connect makes the SSH connection.
func (d *Dialer) connect(ctx context.Context, h host.Host) (*sshConn, error) {
	timeout := orDefault(d.Timeout, 15*time.Second)
	methods, done, err := d.authMethods(h)
	if err != nil {
		return nil, err
	}
	defer done()
	tcp, err := (&net.Dialer{Timeout: timeout}).DialContext(ctx, "tcp", endpoint(h))
	if err != nil {
		return nil, unreachable(h, err)
	}
	line := newLine(tcp)
	stop := context.AfterFunc(ctx, func() { tcp.Close() })
	defer stop()
	keys, err := d.hostKeys(h, line, timeout)
	if err != nil {
		tcp.Close()
		return nil, err
	}
	tcp.SetDeadline(time.Now().Add(timeout))
	transport, channels, requests, err := ssh.NewClientConn(line, endpoint(h), &ssh.ClientConfig{
		User:              user(h.Auth),
		Auth:              methods,
		HostKeyCallback:   keys.check,
		HostKeyAlgorithms: keys.algorithms,
		ClientVersion:     "SSH-2.0-sealer-run",
	})
	if err != nil {
		tcp.Close()
		return nil, handshakeProblem(ctx, h, err)
	}
	tcp.SetDeadline(time.Time{})
	conn := &sshConn{
		host:     h,
		client:   ssh.NewClient(transport, channels, requests),
		line:     line,
		sessions: make(chan struct{}, maxSessions),
	}
	go conn.keepAlive(orDefault(d.KeepAlive, 15*time.Second))
	return conn, nil
}

// handshakeProblem says what a failed handshake means.
func handshakeProblem(ctx context.Context, h host.Host, err error) error {
	var known *host.Problem
	switch {
	case ctx.Err() != nil:
		return &host.Problem{Host: h.String(), What: "connecting: " + ctx.Err().Error(), Cause: ctx.Err()}
	case errors.As(err, &known): // from the host key check
		return known
	case strings.Contains(err.Error(), "unable to authenticate"):
		return authProblem(h, err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &host.Problem{
			Host:  h.String(),
			What:  fmt.Sprintf("port %d accepts connections but does not answer as an SSH server", port(h.Auth)),
			Mend:  "check --port and the load of the host, then run the command again",
			Cause: err,
		}
	}
	return &host.Problem{
		Host:  h.String(),
		What:  fmt.Sprintf("SSH handshake on port %d: %v", port(h.Auth), withoutEndpoints(err)),
		Mend:  "check that sshd listens on this port (--port)",
		Cause: err,
	}
}

// unreachable says that no connection came about.
func unreachable(h host.Host, err error) error {
	return &host.Problem{
		Host:  h.String(),
		What:  fmt.Sprintf("not reachable: %v", withoutEndpoints(err)),
		Mend:  fmt.Sprintf("check the address, and that sshd listens on port %d and no firewall is between", port(h.Auth)),
		Cause: err,
	}
}

// withoutEndpoints returns what went wrong on a connection; the error of the connection has the addresses of both of its ends, too.
func withoutEndpoints(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err
	}
	return err
}

// orDefault returns d, or def when d is not set.
func orDefault(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}

// line is a network connection that knows when it last heard something.
type line struct {
	net.Conn
	heard atomic.Int64 // Unix nanoseconds
}

func newLine(c net.Conn) *line {
	l := &line{Conn: c}
	l.heard.Store(time.Now().UnixNano())
	return l
}

func (l *line) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if n > 0 {
		l.heard.Store(time.Now().UnixNano())
	}
	return n, err
}

// silent is how long nothing was heard.
func (l *line) silent() time.Duration {
	return time.Since(time.Unix(0, l.heard.Load()))
}
