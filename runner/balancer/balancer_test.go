package balancer

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// patient is for masters that answer, also on a busy machine; quick for those that do not.
var (
	patient = timing{every: 20 * time.Millisecond, check: time.Minute, dial: time.Minute}
	quick   = timing{every: 20 * time.Millisecond, check: 5 * time.Second, dial: 5 * time.Second}
)

// master is a TLS server as an API server is one. It says its name, and holds what waits.
type master struct {
	*httptest.Server
	address string
	frozen  atomic.Bool // as without power: what is connected stays connected, and nothing answers
	silent  atomic.Bool // it speaks TLS, and does not answer checks
	status  atomic.Int32
	checks  atomic.Int32 // that have begun
	handed  atomic.Int32 // connections that it accepted for checks
	thaw    chan struct{}
}

// freezer is a listener whose connections nobody takes while the master is frozen. The kernel accepts them all the same.
type freezer struct {
	net.Listener
	m *master
}

func (f freezer) Accept() (net.Conn, error) {
	conn, err := f.Listener.Accept()
	if err == nil && f.m.frozen.Load() {
		return icy{conn, f.m}, nil
	}
	return conn, err
}

// icy is a connection that came when its master was frozen.
type icy struct {
	net.Conn
	m *master
}

func (c icy) Read(b []byte) (int, error) {
	<-c.m.thaw
	return 0, io.EOF
}

func newMaster(t *testing.T, name string) *master {
	t.Helper()
	m := &master{thaw: make(chan struct{})}
	seen := sync.Map{}
	m.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			m.checks.Add(1)
			if _, old := seen.LoadOrStore(r.RemoteAddr, true); !old {
				m.handed.Add(1)
			}
			if m.frozen.Load() || m.silent.Load() {
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
	m.Config.ErrorLog = log.New(io.Discard, "", 0)
	m.Listener = freezer{m.Listener, m}
	m.StartTLS()
	m.address = m.Listener.Addr().String()
	t.Cleanup(func() {
		close(m.thaw)
		m.CloseClientConnections()
		m.Close()
	})
	return m
}

// start runs a balancer and returns its address and what ends it.
func start(t *testing.T, patience timing, backends ...string) (string, *http.Client) {
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
		ended <- serve(ctx, Config{Listen: []string{address}, Backends: backends}, patience, slog.New(slog.NewTextHandler(io.Discard, nil)))
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
	address, client := start(t, patient, a.address, b.address, c.address)
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
	address, client := start(t, patient, a.address, b.address)
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
	address, client := start(t, quick, a.address, b.address)
	eventually(t, "it listens", func() bool { _, err := ask(client, address); return err == nil })
	dead, living, deadEnded, livingEnded := watches(t, client, address, a, b)
	dead.frozen.Store(true)
	if err := <-deadEnded; err == nil {
		t.Error("the watch went on")
	}
	goesOn(t, livingEnded)
	for range 3 {
		if name, err := ask(client, address); err != nil || name != living {
			t.Errorf("answered by %q, %v", name, err)
		}
	}
	dead.frozen.Store(false)
	eventually(t, "the master that came back is asked again", func() bool {
		name, err := ask(client, address)
		return err == nil && name != living
	})
}

// watches opens one at each master, and returns the first master with its watch.
func watches(t *testing.T, client *http.Client, address string, a, b *master) (one *master, other string, oneEnded, otherEnded chan error) {
	t.Helper()
	first, firstEnded := watch(t, client, address)
	second, secondEnded := watch(t, client, address)
	if first == second {
		t.Fatalf("both watches are at %s", first)
	}
	if first == "b" {
		return b, second, firstEnded, secondEnded
	}
	return a, second, firstEnded, secondEnded
}

// goesOn fails when a watch has ended.
func goesOn(t *testing.T, ended ...chan error) {
	t.Helper()
	for _, one := range ended {
		select {
		case err := <-one:
			t.Errorf("a watch that worked was ended: %v", err)
		default:
		}
	}
}

// checked waits until every master was asked so often again that the balancer has taken in what it says now.
func checked(t *testing.T, masters ...*master) {
	t.Helper()
	for _, m := range masters {
		before := m.checks.Load()
		eventually(t, "it is checked", func() bool { return m.checks.Load() > before+2*(tolerated+2) })
	}
}

// All API servers answer /readyz with 500 for a few seconds, as they do together when etcd has no leader or its disk stalls. They go on serving
// watches, and there is no better one to go to.
func TestUnreadyMastersKeepTheirConnections(t *testing.T) {
	a, b := newMaster(t, "a"), newMaster(t, "b")
	address, client := start(t, patient, a.address, b.address)
	eventually(t, "it listens", func() bool { _, err := ask(client, address); return err == nil })
	one, other, oneEnded, otherEnded := watches(t, client, address, a, b)
	one.status.Store(http.StatusInternalServerError)
	checked(t, one)
	goesOn(t, oneEnded, otherEnded)
	for range 5 { // new connections go to the one that is ready
		if name, err := ask(client, address); err != nil || name != other {
			t.Errorf("answered by %q, %v", name, err)
		}
	}
	a.status.Store(http.StatusInternalServerError)
	b.status.Store(http.StatusInternalServerError)
	checked(t, a, b)
	goesOn(t, oneEnded, otherEnded)
	if _, err := ask(client, address); err != nil {
		t.Errorf("no master is asked: %v", err)
	}
}

// When no master can be reached, as when this node's own network is gone, connections stay: they may go on when it is back. As soon as one can
// be reached again, those to the others are ended.
func TestConnectionsStayWhenNoMasterIsReached(t *testing.T) {
	a, b := newMaster(t, "a"), newMaster(t, "b")
	p := newPool([]string{a.address, b.address}, quick, slog.New(slog.NewTextHandler(io.Discard, nil)))
	for _, backend := range p.backends {
		for range 5 {
			p.note(backend, checkResult{unreachable, 1, io.EOF})
		}
	}
	if p.replaceable() != nil {
		t.Error("connections are ended without another master to go to")
	}
	p.note(p.backends[1], checkResult{})
	if lost := p.replaceable(); len(lost) != 1 || lost[0] != p.backends[0] {
		t.Errorf("%d backends are given up, want the first", len(lost))
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
		{`{"listen":["127.0.0.1:0"],"backends":["10.0.0.1:6443"]}`, "not an address"},
		{`{"listen":["a:6443"],"backends":["10.0.0.1:6443"]}`, `"a:6443"`},
		{`{"listen":["127.0.0.1:6443"],"backends":["127.0.0.1:6443"]}`, "twice"},
		{`{"listen":["127.0.0.1:6443"],"backends":["10.0.0.1:6443"],"x":1}`, ""}, // of a newer program
		{`{"version":1,"listen":["127.0.0.1:6443"],"backends":["10.0.0.1:6443"]}`, ""},
		{`{"version":2,"listen":["127.0.0.1:6443"],"backends":["10.0.0.1:6443"]}`, "apply the cluster's image again"},
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
