package balancer

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// A check costs a handshake only when there is no connection: 500 nodes would cost their masters much of a processor.
func TestChecksKeepTheirConnection(t *testing.T) {
	a := newMaster(t, "a")
	start(t, patient, a.address)
	eventually(t, "it is checked", func() bool { return a.checks.Load() >= 10 })
	if n := a.handed.Load(); n != 1 {
		t.Errorf("%d connections for %d checks", n, a.checks.Load())
	}
}

// A connection that ends says nothing of the master.
func TestConnectionOfChecksEnds(t *testing.T) {
	a := newMaster(t, "a")
	c := newChecker(a.address, patient)
	defer c.close()
	for range 5 {
		if result := c.check(t.Context()); result.err != nil || result.health != ready {
			t.Errorf("a master that is ready is taken for %+v", result)
		}
		a.CloseClientConnections()
	}
}

func TestCheck(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	plain := httptest.NewServer(http.NotFoundHandler()) // an address that another program took
	defer plain.Close()
	cases := []struct {
		name string
		set  func(m *master) string // the address to check
		want health
		wait timing
	}{
		{"ready", func(m *master) string { return m.address }, ready, patient},
		{"forbidden", func(m *master) string { m.status.Store(http.StatusForbidden); return m.address }, ready, patient},
		{"not allowed", func(m *master) string { m.status.Store(http.StatusUnauthorized); return m.address }, ready, patient},
		{"not ready", func(m *master) string { m.status.Store(http.StatusInternalServerError); return m.address }, unready, patient},
		{"elsewhere", func(m *master) string { m.status.Store(http.StatusFound); return m.address }, unready, patient},
		{"silent", func(m *master) string { m.silent.Store(true); return m.address }, unready, quick},
		{"frozen", func(m *master) string { m.frozen.Store(true); return m.address }, unreachable, timing{check: time.Second}},
		{"refused", func(*master) string { return closed.Addr().String() }, unreachable, patient},
		{"no TLS", func(*master) string { return plain.Listener.Addr().String() }, unreachable, patient},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			checker := newChecker(c.set(newMaster(t, "a")), c.wait)
			defer checker.close()
			if result := checker.check(t.Context()); result.health != c.want {
				t.Errorf("health is %d (%v), want %d", result.health, result.err, c.want)
			}
		})
	}
	// A master that freezes is found by its kept connection, and by a new one.
	m := newMaster(t, "a")
	checker := newChecker(m.address, quick)
	defer checker.close()
	first := checker.check(t.Context())
	m.frozen.Store(true)
	if second := checker.check(t.Context()); first.health != ready || second.health != unreachable || second.failed != 2 {
		t.Errorf("health is %+v, then %+v", first, second)
	}
}
