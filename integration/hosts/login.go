package hosts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// logins keeps a connection to each host: on a lab's machine a login takes longer than most commands do.
type logins struct {
	mu      sync.Mutex
	clients map[int]*ssh.Client
}

const (
	// loginLimit is how long a host may take to accept a connection or a command.
	loginLimit = 10 * time.Second
	// aliveInterval is the time between two questions whether a host on which a command runs is still there, and aliveLimit how long it may take
	// to answer.
	aliveInterval, aliveLimit = 5 * time.Second, 30 * time.Second
)

// SSH runs a command as root on host i with the given input and returns what it prints.
func (l *Lab) SSH(ctx context.Context, i int, input []byte, command string) ([]byte, error) {
	client, session, err := l.session(ctx, i)
	if err != nil {
		return nil, fmt.Errorf("h%d: %s: %w", i, command, err)
	}
	defer session.Close()
	defer context.AfterFunc(ctx, func() { client.Close() })()
	ended := make(chan struct{})
	defer close(ended)
	go watch(client, ended)
	var stdout, stderr bytes.Buffer
	session.Stdin, session.Stdout, session.Stderr = bytes.NewReader(input), &stdout, &stderr
	if err := session.Run(command); err != nil {
		return stdout.Bytes(), fmt.Errorf("h%d: %s: %w: %s%s", i, command, errors.Join(err, ctx.Err()), stdout.Bytes(), stderr.Bytes())
	}
	return stdout.Bytes(), nil
}

// session opens a session on host i: on the connection that is there, or, if the host was reinstalled or without power meanwhile, on a new one.
func (l *Lab) session(ctx context.Context, i int) (*ssh.Client, *ssh.Session, error) {
	l.logins.mu.Lock()
	defer l.logins.mu.Unlock()
	if client := l.logins.clients[i]; client != nil {
		if session, err := open(client); err == nil {
			return client, session, nil
		}
		client.Close()
		delete(l.logins.clients, i)
	}
	client, err := l.connect(ctx, i)
	if err != nil {
		return nil, nil, err
	}
	session, err := open(client)
	if err != nil {
		client.Close()
		return nil, nil, err
	}
	if l.logins.clients == nil {
		l.logins.clients = map[int]*ssh.Client{}
	}
	l.logins.clients[i] = client
	return client, session, nil
}

func open(client *ssh.Client) (*ssh.Session, error) {
	defer time.AfterFunc(loginLimit, func() { client.Close() }).Stop()
	return client.NewSession()
}

// Close ends the connections of [Lab.SSH]. The hosts stay up.
func (l *Lab) Close() {
	l.logins.mu.Lock()
	defer l.logins.mu.Unlock()
	for _, client := range l.logins.clients {
		client.Close()
	}
	l.logins.clients = nil
}

// connect logs in to host i as root, from the delivery machine.
func (l *Lab) connect(ctx context.Context, i int) (*ssh.Client, error) {
	if i < 1 || i > len(l.Hosts) {
		return nil, fmt.Errorf("the lab has %d hosts", len(l.Hosts))
	}
	key, err := os.ReadFile(l.Key)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", l.Key, err)
	}
	address := net.JoinHostPort(l.Hosts[i-1].Address, "22")
	conn, err := dialFrom(ctx, filepath.Join("/run/netns", l.Namespace), address)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(loginLimit)); err != nil {
		conn.Close()
		return nil, err
	}
	config := &ssh.ClientConfig{User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey()}
	c, channels, requests, err := ssh.NewClientConn(conn, address, config)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return ssh.NewClient(c, channels, requests), conn.SetDeadline(time.Time{})
}

// dialFrom connects to an address from a network namespace.
func dialFrom(ctx context.Context, namespace, address string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // and never unlocks it: a thread in another namespace ends with its goroutine
		file, err := os.Open(namespace)
		if err != nil {
			done <- result{err: err}
			return
		}
		defer file.Close()
		if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- result{err: fmt.Errorf("entering %s: %w", namespace, err)}
			return
		}
		conn, err := (&net.Dialer{Timeout: loginLimit}).DialContext(ctx, "tcp", address)
		done <- result{conn, err}
	}()
	got := <-done
	return got.conn, got.err
}

// watch ends the connection to a host that no longer answers while a command runs there.
func watch(client *ssh.Client, ended <-chan struct{}) {
	ticker := time.NewTicker(aliveInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ended:
			return
		case <-ticker.C:
		}
		limit := time.AfterFunc(aliveLimit, func() { client.Close() })
		_, _, err := client.SendRequest("keepalive@openssh.com", true, nil)
		limit.Stop()
		if err != nil {
			return
		}
	}
}
