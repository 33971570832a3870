package registryproxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// validity of the authority and its certificates. A site may run for years without anybody who renews them.
const validity = 10 * 365 * 24 * time.Hour

// Authority is the certificate authority of one cluster's registries.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// Pair is a certificate and its key, as PEM.
type Pair struct {
	Certificate []byte
	Key         []byte // a secret: its file has mode 0600
}

// NewAuthority makes an authority for the cluster of the given name.
func NewAuthority(cluster string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of a certificate authority: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "kubefile registry " + cluster},
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true, // it signs servers only
		KeyUsage:              x509.KeyUsageCertSign,
	}
	certificate, err := sign(template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &Authority{certificate: certificate, key: key}, nil
}

// ParseAuthority reads what [Authority.Pair] returned.
func ParseAuthority(pair Pair) (*Authority, error) {
	parsed, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		return nil, fmt.Errorf("reading a certificate authority: %w", err)
	}
	key, ok := parsed.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !parsed.Leaf.IsCA {
		return nil, errors.New("reading a certificate authority: not one that NewAuthority made")
	}
	return &Authority{certificate: parsed.Leaf, key: key}, nil
}

// Pair returns the authority's own certificate and key.
func (a *Authority) Pair() (Pair, error) { return encode(a.certificate, a.key) }

// Issue makes a certificate for a server that is reached by the given addresses and names.
func (a *Authority) Issue(addresses []net.IP, names []string) (Pair, error) {
	if len(addresses)+len(names) == 0 {
		return Pair{}, errors.New("making a certificate: for no address and no name")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("making the key of a certificate: %w", err)
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "kubefile registry"},
		IPAddresses: addresses,
		DNSNames:    names,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	certificate, err := sign(template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return Pair{}, err
	}
	return encode(certificate, key)
}

func sign(template, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("making a serial number: %w", err)
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-24 * time.Hour) // clocks of hosts without internet differ
	template.NotAfter = template.NotBefore.Add(validity)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

func encode(certificate *x509.Certificate, key *ecdsa.PrivateKey) (Pair, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return Pair{}, fmt.Errorf("encoding a key: %w", err)
	}
	return Pair{
		Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}),
		Key:         pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}),
	}, nil
}

// Verify checks that clients who trust the authority accept a server's certificate at each of the hosts: IP addresses and DNS names. Both
// are PEM; what follows the server's certificate are the ones between it and the authority. The error names every host that is missing.
func Verify(certificate, authority []byte, hosts []string) error {
	chain, err := parseCertificates(certificate)
	if err != nil {
		return fmt.Errorf("reading the certificate: %w", err)
	}
	trusted, err := parseCertificates(authority)
	if err != nil {
		return fmt.Errorf("reading the certificate authority: %w", err)
	}
	options := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool()}
	for _, root := range trusted {
		options.Roots.AddCert(root)
	}
	for _, between := range chain[1:] {
		options.Intermediates.AddCert(between)
	}
	_, err = chain[0].Verify(options)
	failed := []error{err}
	for _, host := range hosts {
		failed = append(failed, chain[0].VerifyHostname(host))
	}
	return errors.Join(failed...)
}

// parseCertificates reads at least one.
func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certificates = append(certificates, certificate)
	}
	if len(certificates) == 0 {
		return nil, errors.New("no certificate in it (PEM)")
	}
	return certificates, nil
}
