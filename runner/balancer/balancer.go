package balancer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/inetaf/tcpproxy"
)

// timing is how patient the balancer is.
type timing struct {
	every time.Duration // between two checks of a backend
	check time.Duration // for an answer to one
	dial  time.Duration // for a connection to a backend
}

var usual = timing{every: 2 * time.Second, check: 2 * time.Second, dial: 2 * time.Second}

// tolerated is how many checks in a row may fail before that counts.
const tolerated = 1

// Serve passes connections on until ctx ends, then ends those that are left. It returns nil when ctx ended, whatever the cause, and an error
// when it cannot listen.
func Serve(ctx context.Context, config Config, log *slog.Logger) error {
	return serve(ctx, config, usual, log)
}

func serve(ctx context.Context, config Config, patience timing, log *slog.Logger) error {
	p := newPool(config.Backends, patience, log)
	proxy := &tcpproxy.Proxy{}
	for _, address := range config.Listen {
		proxy.AddRoute(address, p)
	}
	if err := proxy.Start(); err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	caller := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	go func() { cancel(proxy.Wait()) }()
	var checks sync.WaitGroup
	for _, b := range p.backends {
		checks.Go(func() { p.watch(ctx, b) })
	}
	<-ctx.Done()
	proxy.Close()
	checks.Wait()
	p.cut(p.backends...)
	if caller.Err() != nil {
		return nil
	}
	return context.Cause(ctx)
}

// pool is the backends and the connections to them.
type pool struct {
	backends []*backend
	patience timing
	log      *slog.Logger
	mu       sync.Mutex // guards what is in the backends
}

// health is what the checks of a backend say of it.
type health int

const (
	ready       health = iota
	unready            // it accepts connections, and does not say that it is ready
	unreachable        // no TLS connection to it can be made
)

type backend struct {
	address string
	checker checker
	health  health
	failed  int // checks in a row
	open    map[net.Conn]bool
}

func newPool(addresses []string, patience timing, log *slog.Logger) *pool {
	p := &pool{patience: patience, log: log}
	for _, address := range addresses {
		p.backends = append(p.backends, &backend{address: address, checker: newChecker(address, patience), open: map[net.Conn]bool{}})
	}
	return p
}

// HandleConn implements [tcpproxy.Target]. A backend that does not accept is passed over without the client noticing.
func (p *pool) HandleConn(src net.Conn) {
	var to *backend
	var conn net.Conn
	proxy := &tcpproxy.DialProxy{
		DialTimeout: time.Duration(len(p.backends)+1) * p.patience.dial,
		DialContext: func(ctx context.Context, network, _ string) (_ net.Conn, err error) {
			to, conn, err = p.dial(ctx, network)
			return conn, err
		},
		OnDialError: func(src net.Conn, err error) {
			p.log.Warn("no backend accepts a connection", "error", err)
			src.Close()
		},
	}
	proxy.HandleConn(src)
	if to != nil {
		p.mu.Lock()
		delete(to.open, conn)
		p.mu.Unlock()
	}
}

// dial connects to the first backend, in their order, that accepts.
func (p *pool) dial(ctx context.Context, network string) (*backend, net.Conn, error) {
	var failed []error
	for _, b := range p.order() {
		dialer := net.Dialer{Timeout: p.patience.dial}
		conn, err := dialer.DialContext(ctx, network, b.address)
		if err == nil {
			p.mu.Lock()
			b.open[conn] = true
			p.mu.Unlock()
			return b, conn, nil
		}
		failed = append(failed, err)
	}
	return nil, nil, errors.Join(failed...)
}

// order sorts by health, and then by how many connections a backend has, the fewest first. Those that cannot be reached are asked last: they may
// have come back a moment ago.
func (p *pool) order() []*backend {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.SortedStableFunc(slices.Values(p.backends), func(a, b *backend) int {
		return cmp.Or(cmp.Compare(a.health, b.health), cmp.Compare(len(a.open), len(b.open)))
	})
}

// watch checks a backend until ctx ends.
func (p *pool) watch(ctx context.Context, b *backend) {
	ticker := time.NewTicker(p.patience.every)
	defer ticker.Stop()
	defer b.checker.close()
	for {
		result := b.checker.check(ctx)
		if ctx.Err() != nil {
			return
		}
		p.note(b, result)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// note takes in the result of a check. Connections to a backend that cannot be reached are ended: the client, who may wait for an answer of a
// machine without power for many minutes, connects again. They are left alone as long as no other backend can be reached, and those to a
// backend that only says that it is not ready are left alone, too: it still serves them, and all masters say so at once when etcd elects a
// leader.
func (p *pool) note(b *backend, result checkResult) {
	p.mu.Lock()
	was := b.health
	b.failed += result.failed
	switch {
	case result.health == ready:
		b.failed, b.health = 0, ready
	case b.failed > tolerated:
		b.health = result.health
	}
	now := b.health
	var lost []*backend
	if was != now && (was == unreachable || now == unreachable) {
		lost = p.replaceable()
	}
	p.mu.Unlock()
	if was == now {
		return
	}
	p.cut(lost...)
	switch now {
	case ready:
		p.log.Info("a backend is ready", "backend", b.address)
	case unready:
		p.log.Warn("a backend is not ready", "backend", b.address, "error", result.err)
	case unreachable:
		p.log.Warn("a backend cannot be reached", "backend", b.address, "error", result.err)
	}
}

// replaceable are the backends that cannot be reached, if another one can.
func (p *pool) replaceable() (lost []*backend) {
	for _, b := range p.backends {
		if b.health == unreachable {
			lost = append(lost, b)
		}
	}
	if len(lost) == len(p.backends) {
		return nil
	}
	return lost
}

// cut ends the connections to backends.
func (p *pool) cut(backends ...*backend) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range backends {
		for conn := range b.open {
			conn.Close()
		}
	}
}
