package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/retry"
)

// Registry returns a client for registries that takes credentials from a config.json of Docker, where there is one; without, it asks
// anonymously.
func Registry(dockerConfig string) (*auth.Client, error) {
	store, err := credentials.NewFileStore(dockerConfig)
	if err != nil {
		return nil, fmt.Errorf("reading the credentials in %s: %w", dockerConfig, err)
	}
	rt, err := New()
	if err != nil {
		return nil, err
	}
	return &auth.Client{
		Client:     &http.Client{Transport: &retry.Transport{Base: rt, Policy: func() retry.Policy { return retries{} }}},
		Cache:      auth.NewCache(),
		Credential: credentials.Credential(store),
	}, nil
}

// maxRefused is how often a connection that is refused or dropped is tried again: a registry that restarts is worth waiting for, one that
// is not there is not.
const maxRefused = 2

// retries is the policy of the library, which repeats on 5xx, on timeouts and on connections that are reset, and beyond it repeats on
// connections that are refused or dropped before an answer.
type retries struct{}

// Retry returns how long to wait before the next attempt; a negative value means no retry.
func (retries) Retry(attempt int, resp *http.Response, err error) (time.Duration, error) {
	if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, io.EOF) {
		return retry.DefaultPolicy.Retry(attempt, resp, err)
	}
	if attempt >= maxRefused {
		return -1, nil
	}
	return retry.DefaultBackoff(attempt, resp), nil
}

// PlainHTTP reports whether a registry is spoken to without TLS: loopback ones are, as by Docker and BuildKit.
func PlainHTTP(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	ip := net.ParseIP(name)
	return name == "localhost" || ip != nil && ip.IsLoopback()
}
