package registryproxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync/atomic"
	"time"
)

// ForwardedHeader marks a request that came from another proxy: it is answered only from the local store; otherwise two masters would ask
// each other without end.
const ForwardedHeader = "Kubefile-Forwarded"

func forwarded(r *http.Request) bool { return r.Header.Get(ForwardedHeader) != "" }

const (
	dialTimeout = 3 * time.Second
	// handshakeTimeout bounds what takes processor time on both ends: hosts that all start pods at once are slow.
	handshakeTimeout = 10 * time.Second
	headerTimeout    = 15 * time.Second
	idleTimeout      = time.Minute      // the longest pause within a body
	restTime         = 30 * time.Second // so long a seed that failed is asked last
)

// answer is the combined answer of the seeds to a request.
type answer int

const (
	answerNone    answer = iota // no seed answered
	answerUnknown               // a seed answered that it does not have it; every seed has all images, so no other has it
	answerServed                // a seed has it, and the client got it
)

// seeds asks the hosts that hold the images, in order.
type seeds struct {
	all           []*seed
	scheme        string
	authorization string // header for all of them; empty for none
	client        *http.Client
	log           *slog.Logger
}

type seed struct {
	address string       // host:port
	failed  atomic.Int64 // when it last did, in nanoseconds since 1970
}

func newSeeds(config Config, log *slog.Logger) (*seeds, error) {
	transport := &http.Transport{
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:   handshakeTimeout,
		ResponseHeaderTimeout: headerTimeout,
		IdleConnTimeout:       idleTimeout,
		MaxIdleConnsPerHost:   8,
		DisableCompression:    true, // bytes are passed on as they are
	}
	s := &seeds{log: log, scheme: "http", client: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if !config.PlainHTTP {
		authority, err := os.ReadFile(config.Authority)
		if err != nil {
			return nil, fmt.Errorf("reading the cluster's certificate authority: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(authority) {
			return nil, errors.New("reading the cluster's certificate authority: no certificate in it")
		}
		s.scheme, transport.TLSClientConfig = "https", &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}
	}
	if config.Credentials != "" {
		credentials, err := readCredentials(config.Credentials)
		if err != nil {
			return nil, err
		}
		s.authorization = credentials.authorization()
	}
	for _, address := range config.Seeds {
		s.all = append(s.all, &seed{address: address})
	}
	return s, nil
}

// order is the configured one, with those that failed a moment ago at the end: a dead master must not cost every request its timeout.
func (s *seeds) order() []*seed {
	resting := func(one *seed) int {
		if time.Since(time.Unix(0, one.failed.Load())) < restTime {
			return 1
		}
		return 0
	}
	return slices.SortedStableFunc(slices.Values(s.all), func(a, b *seed) int { return resting(a) - resting(b) })
}

// serve passes on the answer of the first seed that has what is asked for, and returns its digest. It has written nothing unless the
// answer is answerServed.
func (s *seeds) serve(w http.ResponseWriter, r *http.Request, t target) (answer, string) {
	result := answerNone
	for _, one := range s.order() {
		ctx, cancel := context.WithCancel(r.Context())
		response, err := s.ask(ctx, one.address, r, t)
		if err != nil {
			cancel()
			s.broke(r, one, err)
			continue
		}
		switch response.StatusCode {
		case http.StatusOK, http.StatusPartialContent, http.StatusNotModified, http.StatusRequestedRangeNotSatisfiable:
			s.pass(w, r, response, one, cancel)
			return answerServed, response.Header.Get(digestHeader)
		case http.StatusNotFound:
			result = answerUnknown
		default:
			s.log.Warn("a seed failed", "seed", one.address, "status", response.Status)
		}
		response.Body.Close()
		cancel()
	}
	return result, ""
}

func (s *seeds) ask(ctx context.Context, address string, r *http.Request, t target) (*http.Response, error) {
	query := url.Values{"ns": {t.host}}
	for _, name := range []string{"n", "last"} {
		if value := r.URL.Query().Get(name); value != "" {
			query.Set(name, value)
		}
	}
	u := url.URL{Scheme: s.scheme, Host: address, Path: t.path(), RawQuery: query.Encode()}
	request, err := http.NewRequestWithContext(ctx, r.Method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"Accept", "Range", "If-Range", "If-None-Match"} {
		if values := r.Header.Values(name); len(values) > 0 {
			request.Header[name] = values
		}
	}
	if s.authorization != "" {
		request.Header.Set("Authorization", s.authorization)
	}
	request.Header.Set(ForwardedHeader, "1")
	return s.client.Do(request)
}

// pass copies a seed's answer. A body that breaks off breaks off for the client too, who must not take a part for the whole; it
// asks again for the rest.
func (s *seeds) pass(w http.ResponseWriter, r *http.Request, response *http.Response, from *seed, cancel context.CancelFunc) {
	defer cancel()
	defer response.Body.Close()
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Range", "Accept-Ranges", "Etag", "Link", digestHeader} {
		if value := response.Header.Get(name); value != "" {
			w.Header().Set(name, value)
		}
	}
	allow(w, response.ContentLength)
	w.WriteHeader(response.StatusCode)
	idle := time.AfterFunc(idleTimeout, cancel)
	defer idle.Stop()
	body := &watched{Reader: response.Body, idle: idle}
	if _, err := io.Copy(w, body); err != nil {
		if body.err != nil {
			s.broke(r, from, body.err)
		}
		panic(http.ErrAbortHandler)
	}
}

// broke notes that a seed failed, unless it was the client who went away.
func (s *seeds) broke(r *http.Request, one *seed, err error) {
	if r.Context().Err() != nil {
		return
	}
	one.failed.Store(time.Now().UnixNano())
	s.log.Warn("a seed failed", "seed", one.address, "error", err)
}

// watched puts off the end of a body as long as bytes arrive, and remembers whether it was the body that failed.
type watched struct {
	io.Reader
	idle *time.Timer
	err  error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	w.idle.Reset(idleTimeout)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}
