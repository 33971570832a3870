package client

import (
	"bytes"
	"net"
	"testing"

	"github.com/kubefile/kubefile/runner/agent/wire"
)

// serveDNS answers every question with an IPv4 address or an error (RFC 1035), at the address that it returns, until the test ends.
func serveDNS(t *testing.T, answer [4]byte, code byte) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.77.53:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buffer := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			end := 12 + bytes.IndexByte(buffer[12:n], 0) + 5 // of the question
			reply := append([]byte{buffer[0], buffer[1], 0x81, 0x80 | code, 0, 1, 0, 0, 0, 0, 0, 0}, buffer[12:end]...)
			if code == 0 {
				reply[7] = 1
				reply = append(append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4), answer[:]...)
			}
			conn.WriteTo(reply, from)
		}
	}()
	return conn.LocalAddr().String()
}

func TestProbe(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.77.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	service := listener.Addr().String()
	closed, err := net.Listen("tcp", "127.0.77.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	right, other := serveDNS(t, [4]byte{127, 0, 77, 1}, 0), serveDNS(t, [4]byte{10, 9, 9, 9}, 0)
	failing := serveDNS(t, [4]byte{}, 2)
	const name = "kubernetes.default.svc.cluster.local"
	tg := target(t, local(t, "10.0.0.2"), false)
	for _, test := range []struct {
		probe           wire.Probe
		service, lookup string
	}{
		{wire.Probe{Service: service, DNS: right, Name: name}, "", ""},
		{wire.Probe{Service: service}, "", ""},
		{wire.Probe{Service: closed.Addr().String(), DNS: right, Name: name}, "connection refused", ""},
		{wire.Probe{Service: service, DNS: other, Name: name}, "", "answers [10.9.9.9], the API is at 127.0.77.1"},
		{wire.Probe{Service: service, DNS: failing, Name: name}, "", "server misbehaving"},
		{wire.Probe{Service: service, DNS: "127.0.77.56", Name: name}, "", "connection refused"},
	} {
		got, err := tg.Probe(t.Context(), test.probe)
		if err != nil || got.Service != test.service || got.Lookup != test.lookup {
			t.Errorf("%+v: got %q, %q, %v, want %q, %q", test.probe, got.Service, got.Lookup, err, test.service, test.lookup)
		}
	}
	if _, err := tg.Probe(t.Context(), wire.Probe{Service: "nowhere"}); err == nil {
		t.Error("a service that is no address is probed")
	}
}
