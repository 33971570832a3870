package balancer

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var quick = timing{every: 20 * time.Millisecond, check: 3 * time.Second, dial: 3 * time.Second}

// master is a TLS server as an API server is one. It says its name, and holds what waits.
type master struct {
	*httptest.Server
	address string
	sick    atomic.Bool
	status  atomic.Int32
	checks  atomic.Int32 // that have begun
}

func newMaster(t *testing.T, name string) *master {
	t.Helper()
	m := &master{}
	m.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			m.checks.Add(1)
			if m.sick.Load() {
				<-r.Context().Done()
				return
			}
			if status := m.status.Load(); status != 0 {
				w.WriteHeader(int(status))
			}
			return
		}
		fmt.Fprintln(w, name)
		w.(http.Flusher).Flush()
		if r.URL.Path == "/watch" {
			<-r.Context().Done()
		}
	}))
	m.address = m.Listener.Addr().String()
	t.Cleanup(func() {
		m.CloseClientConnections()
		m.Close()
	})
	return m
}

// start runs a balancer and returns its address and what ends it.
func start(t *testing.T, backends ...string) (string, *http.Client) {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		ended <- serve(ctx, Config{Listen: []string{address}, Backends: backends}, quick, slog.New(slog.NewTextHandler(io.Discard, nil)))
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
	client := httptest.NewTLSServer(nil)
	t.Cleanup(client.Close)
	transport := client.Client().Transport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	return address, &http.Client{Transport: transport}
}

// ask returns the name of the master that answers.
func ask(client *http.Client, address string) (string, error) {
	response, err := client.Get("https://" + address + "/")
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return strings.TrimSpace(string(body)), err
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 6000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("it never happened that %s", what)
}

// watch opens a connection that stays.
func watch(t *testing.T, client *http.Client, address string) (name string, ended chan error) {
	t.Helper()
	response, err := client.Get("https://" + address + "/watch")
	if err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(response.Body)
	line, err := reader.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	ended = make(chan error, 1)
	go func() {
		defer response.Body.Close()
		_, err := reader.ReadString('\n')
		ended <- err
	}()
	return strings.TrimSpace(line), ended
}

func TestConnectionsAreSpread(t *testing.T) {
	a, b, c := newMaster(t, "a"), newMaster(t, "b"), newMaster(t, "c")
	address, client := start(t, a.address, b.address, c.address)
	eventually(t, "it listens", func() bool { _, err := ask(client, address); return err == nil })
	seen := map[string]int{}
	for range 6 {
		name, _ := watch(t, client, address)
		seen[name]++
	}
	if seen["a"] != 2 || seen["b"] != 2 || seen["c"] != 2 {
		t.Errorf("the connections went to %v", seen)
	}
}

func TestMasterThatDoesNotAccept(t *testing.T) {
	a, b := newMaster(t, "a"), newMaster(t, "b")
	address, client := start(t, a.address, b.address)
	eventually(t, "it listens", func() bool { _, err := ask(client, address); return err == nil })
	a.CloseClientConnections()
	a.Close()
	for range 5 { // from the first moment on
		if name, err := ask(client, address); err != nil || name != "b" {
			t.Fatalf("answered by %q, %v", name, err)
		}
	}
}

// A master without power accepts nothing and answers nothing; connections to it would hang for many minutes.
func TestConnectionsToADeadMasterEnd(t *testing.T) {
	a, b := newMaster(t, "a"), newMaster(t, "b")
	address, client := start(t, a.address, b.address)
	eventually(t, "it listens", func() bool { _, err := ask(client, address); return err == nil })
	first, firstEnded := watch(t, client, address)
	second, secondEnded := watch(t, client, address)
	if first == second {
		t.Fatalf("both watches are at %s", first)
	}
	dead, living, deadEnded, livingEnded := a, "b", firstEnded, secondEnded
	if first == "b" {
		deadEnded, livingEnded = secondEnded, firstEnded
	}
	dead.sick.Store(true)
	if err := <-deadEnded; err == nil {
		t.Error("the watch went on")
	}
	select {
	case err := <-livingEnded:
		t.Errorf("the watch at the living master ended: %v", err)
	default:
	}
	for range 3 {
		if name, err := ask(client, address); err != nil || name != living {
			t.Errorf("answered by %q, %v", name, err)
		}
	}
	dead.sick.Store(false)
	eventually(t, "the master that came back is asked again", func() bool {
		name, err := ask(client, address)
		return err == nil && name == "a"
	})
}

// All checks fail, and yet somebody accepts connections: that is better than nothing.
func TestNobodyIsReady(t *testing.T) {
	a := newMaster(t, "a")
	a.status.Store(http.StatusInternalServerError)
	address, client := start(t, a.address)
	eventually(t, "it listens", func() bool { _, err := ask(client, address); return err == nil })
	// The moment at which it is found dead ends what is open. It is over when the check after that begins.
	eventually(t, "it is found dead", func() bool { return a.checks.Load() > tolerated+1 })
	for range 10 {
		if name, err := ask(client, address); err != nil || name != "a" {
			t.Fatalf("answered by %q, %v", name, err)
		}
	}
}

func TestForbiddenIsAlive(t *testing.T) {
	a, b := newMaster(t, "a"), newMaster(t, "b")
	a.status.Store(http.StatusForbidden)
	p := newPool([]string{a.address, b.address}, quick, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err := p.check(t.Context(), p.backends[0]); err != nil {
		t.Error(err)
	}
	a.status.Store(http.StatusInternalServerError)
	if err := p.check(t.Context(), p.backends[0]); err == nil {
		t.Error("a server that is not ready counts as alive")
	}
}

func TestListeningFails(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	config := Config{Listen: []string{taken.Addr().String()}, Backends: []string{"127.0.0.1:1"}}
	if err := Serve(t.Context(), config, slog.New(slog.NewTextHandler(io.Discard, nil))); err == nil || !strings.Contains(err.Error(), "listening") {
		t.Errorf("error is %v", err)
	}
}

func TestParseConfig(t *testing.T) {
	cases := []struct{ config, want string }{
		{`{"listen":["127.0.0.1:6443"],"backends":["10.0.0.1:6443","10.0.0.2:6443"]}`, ""},
		{`{"listen":["[::1]:6443"],"backends":["[fd00::1]:6443"]}`, ""},
		{`{"listen":["127.0.0.1:6443"]}`, "a backend"},
		{`{"backends":["127.0.0.1:6443"]}`, "to listen on"},
		{`{"listen":["127.0.0.1"],"backends":["10.0.0.1:6443"]}`, `"127.0.0.1"`},
		{`{"listen":["127.0.0.1:0"],"backends":["10.0.0.1:6443"]}`, "no address"},
		{`{"listen":["a:6443"],"backends":["10.0.0.1:6443"]}`, `"a:6443"`},
		{`{"listen":["127.0.0.1:6443"],"backends":["127.0.0.1:6443"]}`, "twice"},
		{`{"listen":["127.0.0.1:6443"],"backends":["10.0.0.1:6443"],"x":1}`, "unknown field"},
		{`{"listen":["127.0.0.1:6443"],"backends":["10.0.0.1:6443"]}{}`, "follows"},
		{``, "EOF"},
	}
	for _, c := range cases {
		_, err := ParseConfig([]byte(c.config))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error is %v, want %q", c.config, err, c.want)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{"listen":["127.0.0.1:6443"],"backends":["10.0.0.1:6443"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseConfig(data)
		if err == nil && (len(c.Listen) == 0 || len(c.Backends) == 0) {
			t.Fatalf("%s is taken", data)
		}
	})
}
