package transport

import (
	"fmt"
	"net"
	"net/http"

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
		Client:     &http.Client{Transport: retry.NewTransport(rt)},
		Cache:      auth.NewCache(),
		Credential: credentials.Credential(store),
	}, nil
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
