package registryproxy_test

import (
	"crypto/x509"
	"encoding/pem"
	"net"
	"testing"

	"github.com/kubefile/kubefile/registryproxy"
)

func parse(t *testing.T, data []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(data)
	if block == nil {
		t.Fatal("no PEM")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func TestCertificates(t *testing.T) {
	first, err := registryproxy.NewAuthority("default")
	if err != nil {
		t.Fatal(err)
	}
	stored, err := first.Pair()
	if err != nil {
		t.Fatal(err)
	}
	authority, err := registryproxy.ParseAuthority(stored) // as a later run does
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Issue([]net.IP{net.ParseIP("10.77.0.11"), net.ParseIP("2001:db8::1")}, []string{"sea.hub", "master-0"})
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parse(t, stored.Certificate))
	certificate := parse(t, pair.Certificate)
	for name, ok := range map[string]bool{
		"10.77.0.11": true, "2001:db8::1": true, "sea.hub": true, "master-0": true, "10.77.0.12": false, "example.com": false,
	} {
		_, err := certificate.Verify(x509.VerifyOptions{Roots: roots, DNSName: name})
		if ok != (err == nil) {
			t.Errorf("as %s: %v", name, err)
		}
	}
	if _, err := certificate.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err == nil {
		t.Error("the certificate of a server is one for a client")
	}
	if certificate.IsCA {
		t.Error("the certificate of a server can sign others")
	}
	if _, err := authority.Issue(nil, nil); err == nil {
		t.Error("a certificate for nobody was made")
	}
	other, err := registryproxy.NewAuthority("default")
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := other.Pair()
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]registryproxy.Pair{
		"nothing":            {},
		"no key":             {Certificate: stored.Certificate},
		"a certificate only": {Certificate: stored.Certificate, Key: stored.Certificate},
		"another's key":      {Certificate: stored.Certificate, Key: foreign.Key},
		"a server's":         pair,
	} {
		if _, err := registryproxy.ParseAuthority(bad); err == nil {
			t.Errorf("%s was read as an authority", name)
		}
	}
}
