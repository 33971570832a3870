package transport

import (
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestNewTrustsTheRootsInTheBinary(t *testing.T) {
	t.Setenv("SSL_CERT_FILE", "/nonexistent")
	t.Setenv("SSL_CERT_DIR", "/nonexistent")
	rt, err := New()
	if err != nil {
		t.Fatal(err)
	}
	if rt.TLSClientConfig.RootCAs.Equal(x509.NewCertPool()) {
		t.Error("no roots")
	}
	if rt.TLSClientConfig.InsecureSkipVerify {
		t.Error("TLS is not verified")
	}
}

func TestNewVerifies(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	rt, err := New()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (&http.Client{Transport: rt}).Get(server.URL); err == nil {
		t.Error("an unknown certificate was accepted")
	}
}

// TestEveryReadHasADeadline: a connection on which nothing comes has one, and each read moves it on.
func TestEveryReadHasADeadline(t *testing.T) {
	here, there := net.Pipe()
	recorder := &deadlines{Conn: here}
	conn := &timedConn{recorder}
	go io.WriteString(there, "ab")
	for range 2 {
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	go io.Copy(io.Discard, there)
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if len(recorder.read) != 2 || len(recorder.write) != 1 || recorder.read[1].Before(recorder.read[0]) {
		t.Errorf("deadlines %v, %v", recorder.read, recorder.write)
	}
	there.Close()
}

type deadlines struct {
	net.Conn
	read, write []time.Time
}

func (d *deadlines) SetReadDeadline(at time.Time) error {
	d.read = append(d.read, at)
	return d.Conn.SetReadDeadline(at)
}

func (d *deadlines) SetWriteDeadline(at time.Time) error {
	d.write = append(d.write, at)
	return d.Conn.SetWriteDeadline(at)
}
