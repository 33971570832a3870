package registryproxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"
)

// forwardedHeader marks a request that came from another proxy: it is answered from the own store or not at all, or two masters
// would ask each other without end.
const forwardedHeader = "Kubefile-Forwarded"

func forwarded(r *http.Request) bool { return r.Header.Get(forwardedHeader) != "" }

const (
	dialTimeout   = 3 * time.Second
	headerTimeout = 15 * time.Second
	idleTimeout   = time.Minute // the longest pause within a body
)

// seeds asks the hosts that hold the images, in order.
type seeds struct {
	addresses []string // host:port
	client    *http.Client
	log       *slog.Logger
}

func newSeeds(addresses []string, authority []byte, log *slog.Logger) (*seeds, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("reading the cluster's certificate authority: no certificate in it")
	}
	transport := &http.Transport{
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:       &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13},
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: headerTimeout,
		IdleConnTimeout:       idleTimeout,
		MaxIdleConnsPerHost:   8,
		DisableCompression:    true, // bytes are passed on as they are
	}
	refuse := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &seeds{addresses: addresses, client: &http.Client{Transport: transport, CheckRedirect: refuse}, log: log}, nil
}

// serve passes on the answer of the first seed that has what is asked for, and returns its digest. It has written nothing when it
// returns false.
func (s *seeds) serve(w http.ResponseWriter, r *http.Request, t target) (string, bool) {
	for _, address := range s.addresses {
		ctx, cancel := context.WithCancel(r.Context())
		response, err := s.ask(ctx, address, r, t)
		if err != nil {
			s.log.Warn("a seed does not answer", "seed", address, "error", err)
			cancel()
			continue
		}
		if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusPartialContent {
			response.Body.Close()
			cancel()
			continue
		}
		s.pass(w, response, cancel)
		return response.Header.Get(digestHeader), true
	}
	return "", false
}

func (s *seeds) ask(ctx context.Context, address string, r *http.Request, t target) (*http.Response, error) {
	u := url.URL{Scheme: "https", Host: address, Path: t.path(), RawQuery: url.Values{"ns": {t.host}}.Encode()}
	request, err := http.NewRequestWithContext(ctx, r.Method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"Accept", "Range", "If-None-Match"} {
		if values := r.Header.Values(name); len(values) > 0 {
			request.Header[name] = values
		}
	}
	request.Header.Set(forwardedHeader, "1")
	return s.client.Do(request)
}

// pass copies a seed's answer. A body that breaks off breaks off for the client too, who must not take a part for the whole.
func (s *seeds) pass(w http.ResponseWriter, response *http.Response, cancel context.CancelFunc) {
	defer cancel()
	defer response.Body.Close()
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Range", "Accept-Ranges", "Etag", digestHeader} {
		if value := response.Header.Get(name); value != "" {
			w.Header().Set(name, value)
		}
	}
	w.WriteHeader(response.StatusCode)
	idle := time.AfterFunc(idleTimeout, cancel)
	defer idle.Stop()
	if _, err := io.Copy(w, &watched{Reader: response.Body, idle: idle}); err != nil {
		s.log.Warn("a seed broke off", "error", err)
		panic(http.ErrAbortHandler)
	}
}

// watched puts off the end of a body as long as bytes arrive.
type watched struct {
	io.Reader
	idle *time.Timer
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	w.idle.Reset(idleTimeout)
	return n, err
}
