package registryproxy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/registryproxy"
)

const dashboard = "docker.io/kubernetesui/dashboard:v2.2.0"

// site is what the hosts of one cluster share.
type site struct {
	t         testing.TB
	dir       string
	ca        string // file
	authority *registryproxy.Authority
}

func newSite(t testing.TB) *site {
	t.Helper()
	authority, err := registryproxy.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Pair()
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: t.TempDir(), authority: authority}
	s.ca = s.write("ca.crt", pair.Certificate)
	return s
}

func (s *site) write(name string, content []byte) string {
	s.t.Helper()
	file := filepath.Join(s.dir, name)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return file
}

// tls is a listener with a certificate of the cluster.
func (s *site) tls() registryproxy.Listener {
	s.t.Helper()
	pair, err := s.authority.Issue([]net.IP{net.IPv4(127, 0, 0, 1)}, []string{"sea.hub"})
	if err != nil {
		s.t.Fatal(err)
	}
	return registryproxy.Listener{Address: "127.0.0.1:0", Certificate: s.write("seed.crt", pair.Certificate), Key: s.write("seed.key", pair.Key)}
}

// host is a running proxy.
type host struct {
	plain   string // its loopback address
	secure  string // its address for other hosts
	records string
	log     *bytes.Buffer
	stop    func() error
}

// run starts a proxy, with a TLS listener for other hosts, on free ports.
func (s *site) run(store string, seeds ...string) *host {
	s.t.Helper()
	config := registryproxy.Config{Seeds: seeds, Records: s.t.TempDir()}
	if store != "" {
		config.Stores = []string{store}
	}
	return s.start(config)
}

// start starts a proxy with a listener for its own host and one, as the options make it, for others.
func (s *site) start(config registryproxy.Config, options ...func(*registryproxy.Listener)) *host {
	s.t.Helper()
	config.Listen = []registryproxy.Listener{{Address: "127.0.0.1:0"}, s.tls()}
	for _, option := range options {
		option(&config.Listen[1])
	}
	if len(config.Seeds) > 0 {
		config.Authority = s.ca
	}
	ctx, cancel := context.WithCancel(context.Background())
	log := &bytes.Buffer{}
	server, err := registryproxy.Listen(ctx, config, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		cancel()
		s.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx) }()
	stopped := false
	h := &host{records: config.Records, log: log, plain: server.Addresses()[0].String(), secure: server.Addresses()[1].String()}
	h.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	s.t.Cleanup(func() {
		if err := h.stop(); err != nil {
			s.t.Errorf("serving ended with %v", err)
		}
	})
	return h
}

// reply is the answer to one request.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (h *host) get(t testing.TB, path string, headers ...string) reply {
	t.Helper()
	return h.ask(t, http.MethodGet, path, headers...)
}

// ask sends a request as it is, with a path that no client would send if need be.
func (h *host) ask(t testing.TB, method, path string, headers ...string) reply {
	t.Helper()
	r, err := h.try(method, path, headers...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

func (h *host) try(method, path string, headers ...string) (reply, error) {
	request, err := http.NewRequest(method, "http://"+h.plain, nil)
	if err != nil {
		return reply{}, err
	}
	path, request.URL.RawQuery, _ = strings.Cut(path, "?")
	request.URL.Opaque = "//" + h.plain + path
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Set(name, value)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, body}, err
}

// code is the error code of the distribution specification.
func (r reply) code() string {
	var errors struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal(r.body, &errors) != nil || len(errors.Errors) != 1 || errors.Errors[0].Message == "" ||
		r.header.Get("Content-Type") != "application/json" {
		return ""
	}
	return errors.Errors[0].Code
}

// recorded is what a host recorded, as "reference digest".
func (h *host) recorded(t testing.TB, file string) []string {
	t.Helper()
	f, err := os.Open(filepath.Join(h.records, file))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := registryproxy.ReadRecords(f)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, record := range records {
		if record.Time.IsZero() {
			t.Errorf("%+v has no time", record)
		}
		lines = append(lines, strings.TrimSpace(record.Reference+" "+record.Digest))
	}
	return lines
}
