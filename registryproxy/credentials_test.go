package registryproxy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/containerd/v2/core/remotes/docker"

	"github.com/kubefile/kubefile/imagespec/storetest"
	"github.com/kubefile/kubefile/registryproxy"
)

var login = registryproxy.Credentials{Username: "admin", Password: `p:ä "s$`}

// users is a file for [registryproxy.Listener.Users].
func (s *site) users(c registryproxy.Credentials) string {
	s.t.Helper()
	htpasswd, err := c.Htpasswd()
	if err != nil {
		s.t.Fatal(err)
	}
	if bytes.Contains(htpasswd, []byte(c.Password)) {
		s.t.Errorf("%q tells the password", htpasswd)
	}
	return s.write("htpasswd", htpasswd)
}

// guarded starts a proxy that lets other hosts in by their credentials, and asks its own seeds with them.
func (s *site) guarded(config registryproxy.Config) *host {
	s.t.Helper()
	config.Credentials = s.write("credentials", login.Line())
	return s.start(config, func(l *registryproxy.Listener) { l.Users = s.users(login) })
}

// knock asks a seed, over TLS, with the given credentials if there are any.
func (s *site) knock(h *host, method, path string, c *registryproxy.Credentials) *http.Response {
	s.t.Helper()
	pem, err := os.ReadFile(s.ca)
	if err != nil {
		s.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	request, err := http.NewRequest(method, "https://"+h.secure+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if c != nil {
		request.SetBasicAuth(c.Username, c.Password)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		s.t.Error(err)
		return &http.Response{Header: http.Header{}, Body: http.NoBody}
	}
	return response
}

func TestCredentialsOfTheSeeds(t *testing.T) {
	store := storetest.New(t)
	image := store.Embed(dashboard, []byte("x"))
	site := newSite(t)
	seed := site.guarded(registryproxy.Config{Stores: []string{store.Dir}})
	const path = "/v2/kubernetesui/dashboard/manifests/v2.2.0?ns=docker.io"
	for name, test := range map[string]struct {
		credentials *registryproxy.Credentials
		status      int
	}{
		"right":          {&login, http.StatusOK},
		"none":           {nil, http.StatusUnauthorized},
		"empty":          {&registryproxy.Credentials{}, http.StatusUnauthorized},
		"wrong password": {&registryproxy.Credentials{Username: login.Username, Password: login.Password + "x"}, http.StatusUnauthorized},
		"no password":    {&registryproxy.Credentials{Username: login.Username}, http.StatusUnauthorized},
		"wrong name":     {&registryproxy.Credentials{Username: "root", Password: login.Password}, http.StatusUnauthorized},
	} {
		paths := []string{path}
		if test.credentials == nil || test.credentials == &login { // what was right is remembered
			paths = append(paths, "/v2/", "/v2/kubernetesui/dashboard/blobs/"+image.Layer.Digest.String()+"?ns=docker.io")
		}
		for _, path := range paths {
			response := site.knock(seed, http.MethodGet, path, test.credentials)
			body, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil || response.StatusCode != test.status {
				t.Errorf("%s: %s: %s, %s, %v", name, path, response.Status, body, err)
			}
			if test.status != http.StatusUnauthorized {
				continue
			}
			answer := reply{response.StatusCode, response.Header, body}
			if answer.code() != "UNAUTHORIZED" || !strings.HasPrefix(response.Header.Get("WWW-Authenticate"), `Basic realm="`) {
				t.Errorf("%s: %s: %v, %s", name, path, response.Header, body)
			}
		}
	}
	response := site.knock(seed, http.MethodPut, path, nil)
	response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("PUT without credentials: %s", response.Status)
	}
	pull(t, seed, "docker.io/kubernetesui/dashboard", "v2.2.0", image) // on the host itself nobody is asked who he is
	pull(t, site.guarded(registryproxy.Config{Seeds: []string{seed.secure}}), "docker.io/kubernetesui/dashboard", "v2.2.0", image)

	stranger := site.start(registryproxy.Config{Seeds: []string{seed.secure}})
	if got := stranger.get(t, path, "Authorization: Basic anything"); got.status != http.StatusBadGateway {
		t.Errorf("a proxy without credentials: status %d, %s", got.status, got.body)
	}
	for _, h := range []*host{seed, stranger} {
		if err := h.stop(); err != nil || strings.Contains(h.log.String(), login.Password) {
			t.Errorf("the log tells the password, or %v:\n%s", err, h.log)
		}
	}
	if !strings.Contains(stranger.log.String(), "401 Unauthorized") {
		t.Errorf("the log does not say why the seed failed:\n%s", stranger.log)
	}
}

func TestManyLoginsAtOnce(t *testing.T) {
	site := newSite(t)
	seed := site.guarded(registryproxy.Config{Stores: []string{storetest.New(t).Dir}})
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			c, want := login, http.StatusOK
			if i%3 == 0 {
				c.Password, want = fmt.Sprint(i), http.StatusUnauthorized
			}
			response := site.knock(seed, http.MethodHead, "/v2/", &c)
			response.Body.Close()
			if response.StatusCode != want {
				t.Errorf("%s with the password of %d", response.Status, i)
			}
		})
	}
	wait.Wait()
}

func TestHostsWithoutTLS(t *testing.T) {
	store := storetest.New(t)
	image := store.Embed(dashboard, []byte("x"))
	site := newSite(t)
	open := func(l *registryproxy.Listener) {
		*l = registryproxy.Listener{Address: "127.0.0.1:0", Users: site.users(login)}
	}
	seed := site.start(registryproxy.Config{Stores: []string{store.Dir}, PlainHTTP: true}, open)
	worker := site.start(registryproxy.Config{
		Seeds: []string{seed.secure}, PlainHTTP: true, Credentials: site.write("credentials", login.Line())}, open)
	pull(t, worker, "docker.io/kubernetesui/dashboard", "v2.2.0", image)
	if got := (&host{plain: seed.secure}).get(t, "/v2/"); got.status != http.StatusUnauthorized {
		t.Errorf("without credentials: status %d", got.status)
	}
}

// containerd brings what its files say, when the proxy of its own host does not answer.
func TestContainerdBringsTheCredentials(t *testing.T) {
	store := storetest.New(t)
	image := store.Embed(dashboard, []byte("x"))
	site := newSite(t)
	seed := site.guarded(registryproxy.Config{Stores: []string{store.Dir}})
	for name, order := range map[string][]string{"server": {deadAddress(t), seed.secure}, "mirror": {seed.secure, deadAddress(t)}} {
		mirrors := []registryproxy.Mirror{{URL: "http://" + deadAddress(t)}}
		for _, address := range order {
			mirrors = append(mirrors, registryproxy.Mirror{URL: "https://" + address, Authority: site.ca, Credentials: login})
		}
		files, err := registryproxy.HostsFiles(store.Lock, "", mirrors)
		if err != nil {
			t.Fatal(err)
		}
		resolver := docker.NewResolver(docker.ResolverOptions{Hosts: certsD(t, files)})
		if _, got, err := resolver.Resolve(t.Context(), dashboard); err != nil || got.Digest != image.Index.Digest {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestCredentialsAreChecked(t *testing.T) {
	for _, c := range []registryproxy.Credentials{
		{}, {Username: "admin"}, {Password: "secret"}, {Username: "a:b", Password: "secret"}, {Username: "a\n", Password: "secret"},
		{Username: "a", Password: "secret\n"}, {Username: "a", Password: "secret" + strings.Repeat("x", 70)},
	} {
		err := c.Check()
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", c.Username, err)
		}
	}
	for _, c := range []registryproxy.Credentials{login, {Username: "a", Password: strings.Repeat("x", 72)}} {
		if err := c.Check(); err != nil {
			t.Error(err)
		}
		htpasswd, err := c.Htpasswd()
		if err != nil || !c.Match(htpasswd) {
			t.Errorf("%q, %v", htpasswd, err)
		}
		for _, other := range []string{"", "x", "x:y", string(htpasswd) + "x:y\n", "x" + string(htpasswd)} {
			if c.Match([]byte(other)) {
				t.Errorf("matches %q", other)
			}
		}
		c.Password += "x"
		if len(c.Password) <= 72 && c.Match(htpasswd) {
			t.Error("matches with another password")
		}
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if got := fmt.Sprintf(format, []any{login, &login, registryproxy.Mirror{Credentials: login}}); strings.Contains(got, login.Password) ||
			strings.Contains(got, fmt.Sprintf("%x", login.Password)) {
			t.Errorf("%s writes %s", format, got)
		}
	}
}

func TestListenRefusesUsersAndCredentialsThatAreNone(t *testing.T) {
	site := newSite(t)
	empty, noHash := site.write("empty", nil), site.write("none", []byte("admin:secret\n"))
	two := site.write("two", []byte("admin:secret\nroot:secret\n"))
	for name, config := range map[string]registryproxy.Config{
		"no users":           {Listen: []registryproxy.Listener{{Address: "127.0.0.1:0", Users: empty}}},
		"no file of users":   {Listen: []registryproxy.Listener{{Address: "127.0.0.1:0", Users: "/none"}}},
		"password, no hash":  {Listen: []registryproxy.Listener{{Address: "127.0.0.1:0", Users: noHash}}},
		"no credentials":     {Seeds: []string{"127.0.0.1:1"}, Credentials: empty},
		"no file of them":    {Seeds: []string{"127.0.0.1:1"}, Credentials: "/none"},
		"several of them":    {Seeds: []string{"127.0.0.1:1"}, Credentials: two},
		"a directory":        {Seeds: []string{"127.0.0.1:1"}, Credentials: site.dir},
		"a directory, users": {Listen: []registryproxy.Listener{{Address: "127.0.0.1:0", Users: site.dir}}},
	} {
		config.Stores, config.Authority = []string{site.dir}, site.ca
		if config.Listen == nil {
			config.Listen = []registryproxy.Listener{{Address: "127.0.0.1:0"}}
		}
		server, err := registryproxy.Listen(context.Background(), config, slog.New(slog.DiscardHandler))
		if err == nil {
			t.Errorf("%s: listens at %v", name, server.Addresses())
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
