package balancer

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
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

// tolerated is how many checks in a row may fail before a backend counts as dead.
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
	client   *http.Client
	log      *slog.Logger
	mu       sync.Mutex // guards what is in the backends
}

type backend struct {
	address string
	dead    bool
	failed  int // checks in a row
	open    map[net.Conn]bool
}

func newPool(addresses []string, patience timing, log *slog.Logger) *pool {
	p := &pool{patience: patience, log: log, client: &http.Client{
		Timeout: patience.check,
		Transport: &http.Transport{
			// Nothing secret is sent, and what comes back decides only which backend is asked first: the TLS of those who
			// connect goes end to end, and they do verify.
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
			DisableKeepAlives: true, // a check on an old connection says nothing of new ones
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for _, address := range addresses {
		p.backends = append(p.backends, &backend{address: address, open: map[net.Conn]bool{}})
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

// order is the living before the dead, who may have come back a moment ago, and those with few connections before those with many.
func (p *pool) order() []*backend {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := func(b *backend) int {
		if b.dead {
			return 1
		}
		return 0
	}
	return slices.SortedStableFunc(slices.Values(p.backends), func(a, b *backend) int {
		return cmp.Or(last(a)-last(b), len(a.open)-len(b.open))
	})
}

// watch checks a backend until ctx ends.
func (p *pool) watch(ctx context.Context, b *backend) {
	ticker := time.NewTicker(p.patience.every)
	defer ticker.Stop()
	for {
		err := p.check(ctx, b)
		if ctx.Err() != nil {
			return
		}
		p.note(b, err)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// check asks whether an API server is ready. Every cluster answers that to everybody (ClusterRole system:public-info-viewer), and who
// says that it is forbidden is alive, too.
func (p *pool) check(ctx context.Context, b *backend) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+b.address+"/readyz", nil)
	if err != nil {
		return err
	}
	response, err := p.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	switch response.StatusCode {
	case http.StatusOK, http.StatusUnauthorized, http.StatusForbidden:
		return nil
	}
	return fmt.Errorf("it answers %s", response.Status)
}

// note takes in the result of a check. Connections to a backend that died are ended: the client, who may wait for an answer of a machine
// without power for many minutes, connects anew.
func (p *pool) note(b *backend, err error) {
	p.mu.Lock()
	was := b.dead
	if b.failed++; err == nil {
		b.failed = 0
	}
	b.dead = b.failed > tolerated
	now := b.dead
	p.mu.Unlock()
	switch {
	case now && !was:
		p.log.Warn("a backend died", "backend", b.address, "error", err)
		p.cut(b)
	case was && !now:
		p.log.Info("a backend is back", "backend", b.address)
	}
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
