package hosttest

import (
	"net"
	"net/netip"
	"sync"
	"testing"
)

// Relay is a line to a server that can be frozen and cut.
type Relay struct {
	Address netip.AddrPort // leads to the server

	frozen chan struct{}
	mu     sync.Mutex
	conns  []net.Conn
}

// StartRelay makes a line to a server.
func StartRelay(t *testing.T, to netip.AddrPort) *Relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Relay{Address: listener.Addr().(*net.TCPAddr).AddrPort(), frozen: make(chan struct{})}
	t.Cleanup(func() { listener.Close(); r.Cut() })
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to.String())
			if err != nil {
				in.Close()
				return
			}
			r.mu.Lock()
			r.conns = append(r.conns, in, out)
			r.mu.Unlock()
			go r.copy(in, out)
			go r.copy(out, in)
		}
	}()
	return r
}

func (r *Relay) copy(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		select {
		case <-r.frozen:
			return // the connection stays open, and nothing comes
		default:
		}
		if _, werr := to.Write(buffer[:n]); err != nil || werr != nil {
			to.Close()
			return
		}
	}
}

// Freeze lets nothing pass any longer, and keeps the connections.
func (r *Relay) Freeze() { close(r.frozen) }

// Cut ends the connections that were made.
func (r *Relay) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, conn := range r.conns {
		conn.Close()
	}
	r.conns = nil
}
