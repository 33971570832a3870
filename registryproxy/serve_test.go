package registryproxy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/imagespec/storetest"
	"github.com/kubefile/kubefile/registryproxy"
)

func TestConfig(t *testing.T) {
	data := `{"stores":["/s","/apps/*/registry"],"listen":[{"address":"127.0.0.1:5000"},{"address":"10.77.0.11:5000","cert":"/c","key":"/k"}],
		"seeds":["10.77.0.12:5000","[2001:db8::1]:5000"],"ca":"/ca","records":"/r"}`
	want := registryproxy.Config{
		Stores: []string{"/s", "/apps/*/registry"},
		Listen: []registryproxy.Listener{{Address: "127.0.0.1:5000"}, {Address: "10.77.0.11:5000", Certificate: "/c", Key: "/k"}},
		Seeds:  []string{"10.77.0.12:5000", "[2001:db8::1]:5000"}, Authority: "/ca", Records: "/r",
	}
	got, err := registryproxy.ParseConfig([]byte(data))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	written, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := registryproxy.ParseConfig(written); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, %v", written, got, err)
	}
	old := strings.Replace(data, `"stores":["/s","/apps/*/registry"]`, `"store":"/s"`, 1)
	want.Stores = []string{"/s"}
	if got, err := registryproxy.ParseConfig([]byte(old)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, %v", old, got, err)
	}
}

func TestConfigsThatAreRefused(t *testing.T) {
	const plain = `"listen":[{"address":"127.0.0.1:5000"}]`
	for data, want := range map[string]string{
		``:                                "EOF",
		`{`:                               "unexpected EOF",
		`{"store":"/s",` + plain + `} {}`: "more than one JSON value",
		`{"version":2,"store":"/s",` + plain + `}`: "apply the cluster's image again",
		`{"store":"/s"}`:                                                                      "no address",
		`{` + plain + `}`:                                                                     "neither stores nor seeds",
		`{"store":"s",` + plain + `}`:                                                         "s: not an absolute path",
		`{"stores":["/s","*/r"],` + plain + `}`:                                               "*/r: not an absolute path",
		`{"seeds":["10.0.0.1:5000"],` + plain + `}`:                                           "seeds without ca",
		`{"seeds":["10.0.0.1"],"ca":"/ca",` + plain + `}`:                                     "missing port",
		`{"seeds":["10.0.0.1:5000/x"],"ca":"/ca",` + plain + `}`:                              "not host:port",
		`{"seeds":["a b:5000"],"ca":"/ca",` + plain + `}`:                                     "not host:port",
		`{"store":"/s","listen":[{"address":"10.0.0.1:5000"}]}`:                               "plain HTTP is for loopback",
		`{"store":"/s","credentials":"c",` + plain + `}`:                                      "c: not an absolute path",
		`{"store":"/s","domain":"sea.hub",` + plain + `}`:                                     "domain: ",
		`{"store":"/s","listen":[{"address":"127.0.0.1:5000","users":"u"}]}`:                  "u: not an absolute path",
		`{"store":"/s","listen":[{"address":":5000"}]}`:                                       "not host:port",
		`{"store":"/s","listen":[{"address":"0.0.0.0:5000"}]}`:                                "plain HTTP is for loopback",
		`{"store":"/s","listen":[{"address":"localhost:5000"}]}`:                              "not an IP address",
		`{"store":"/s","listen":[{"address":"127.0.0.1:70000"}]}`:                             "not host:port",
		`{"store":"/s","listen":[{"address":"10.0.0.1:5000","cert":"/c"}]}`:                   "go together",
		`{"store":"/s","listen":[{"address":"10.0.0.1:5000","cert":"/c","key":"k"}]}`:         "k: not an absolute path",
		`{"store":"/s","listen":[{"address":"127.0.0.1:5000"},{"address":"127.0.0.1:5000"}]}`: "127.0.0.1:5000 twice",
		`{"store":"/s","listen":[{"address":"127.0.0.1:5000","user":"x"}]}`:                   `unknown field "user"`,
	} {
		if config, err := registryproxy.ParseConfig([]byte(data)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %+v, %v, want %q", data, config, err, want)
		}
	}
}

// A newer runner writes what this program does not need.
func TestConfigOfANewerProgram(t *testing.T) {
	got, err := registryproxy.ParseConfig([]byte(`{"version":1,"colour":"red","stores":["/s"],"listen":[{"address":"127.0.0.1:5000"}]}`))
	if err != nil || len(got.Stores) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{"store":"/s","listen":[{"address":"127.0.0.1:5000"}],"seeds":["[::1]:5000"],"ca":"/ca"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		config, err := registryproxy.ParseConfig(data)
		if err != nil {
			return
		}
		for _, l := range config.Listen {
			if host, _, err := net.SplitHostPort(l.Address); err != nil || l.Certificate == "" && !config.PlainHTTP && !net.ParseIP(host).IsLoopback() {
				t.Fatalf("%s would be listened at", l.Address)
			}
		}
	})
}

func TestListensEverywhereOrNowhere(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free := deadAddress(t)
	config := registryproxy.Config{Stores: []string{t.TempDir()}, Listen: []registryproxy.Listener{{Address: free}, {Address: taken.Addr().String()}}}
	if err := registryproxy.Serve(t.Context(), config, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("got %v", err)
	}
	again, err := net.Listen("tcp", free)
	if err != nil {
		t.Fatalf("the first address is still taken: %v", err)
	}
	again.Close()
}

func TestListenRefusesFilesThatAreNone(t *testing.T) {
	site := newSite(t)
	good := registryproxy.Config{Stores: []string{t.TempDir()}, Listen: []registryproxy.Listener{site.tls()}}
	for name, spoil := range map[string]func(*registryproxy.Config){
		"no certificate": func(c *registryproxy.Config) { c.Listen[0].Certificate = filepath.Join(site.dir, "none") },
		"another's key":  func(c *registryproxy.Config) { c.Listen[0].Certificate = site.ca },
		"no authority": func(c *registryproxy.Config) {
			c.Seeds, c.Authority = []string{"10.0.0.1:5000"}, site.write("empty", nil)
		},
		"records": func(c *registryproxy.Config) { c.Records = site.ca },
		"invalid": func(c *registryproxy.Config) { c.Stores = []string{"relative"} },
	} {
		config := good
		config.Listen = slices.Clone(good.Listen)
		spoil(&config)
		if server, err := registryproxy.Listen(t.Context(), config, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s: listens at %v", name, server.Addresses())
		}
	}
}

func TestSeedSpeaksTLS(t *testing.T) {
	site := newSite(t)
	store := storetest.New(t)
	store.Embed(dashboard, []byte("x"))
	h := site.run(store.Dir)
	if _, err := http.Get("https://" + h.secure + "/v2/"); err == nil {
		t.Error("a client without the cluster's authority trusts the seed")
	}
	pem, err := os.ReadFile(site.ca)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	for _, name := range []string{"127.0.0.1", "sea.hub"} {
		client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: name}}}
		response, err := client.Get("https://" + h.secure + "/v2/kubernetesui/dashboard/manifests/v2.2.0?ns=docker.io")
		if err != nil {
			t.Fatalf("as %s: %v", name, err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("as %s: %s", name, response.Status)
		}
	}
}

func TestRunningAnswersAreFinished(t *testing.T) {
	store := storetest.New(t)
	content := bytes.Repeat([]byte("0123456789"), 1<<20)
	image := store.Embed(dashboard, content)
	h := newSite(t).run(store.Dir)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+h.plain+"/v2/kubernetesui/dashboard/blobs/"+image.Layer.Digest.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Transport{ReadBufferSize: 1 << 10}).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	stopped := make(chan error)
	go func() { stopped <- h.stop() }()
	if body, err := io.ReadAll(response.Body); err != nil || !bytes.Equal(body, content) {
		t.Errorf("%d bytes, %v", len(body), err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("serving ended with %v", err)
	}
	if _, err := h.try(http.MethodGet, "/v2/"); err == nil {
		t.Error("it still answers")
	}
}
