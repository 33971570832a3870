package registry

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubefile/kubefile/registryproxy"
	"github.com/kubefile/kubefile/runner/check"
	"github.com/kubefile/kubefile/runner/host"
)

// What old images' scripts and manifests know the cluster's registry by.
const (
	defaultDomain = "sea.hub"
	defaultPort   = 5000
)

// Settings are a site's settings for the registry of its cluster. The zero value is a good one.
type Settings struct {
	// Domain is the registry's name on every host; default sea.hub. An image Domain:Port/a/b:1 is any registry's a/b:1.
	Domain string
	// Port is where it listens, on 127.0.0.1 of every host and on the address of each master; default 5000.
	Port uint16
	// Username and Password are what masters ask others for; none when both are empty. On the host itself none is needed.
	Username string
	Password host.Secret
	// NoTLS makes the masters serve plain HTTP.
	NoTLS bool
	// Certificate and Key are the site's own, PEM, the same for all masters; without them each master has one from the cluster's authority.
	// Authority is what the certificate is verified against, by default itself.
	Certificate, Key, Authority []byte
	// DNSNames and IPs are what the certificate has to be valid for, beside the masters' own addresses.
	DNSNames []string
	IPs      []netip.Addr
	// External is asked for what is in no store of the cluster, before the registry that an image names; nil for none.
	External *External
}

// External is a registry of the site, which has the images of others under the same repository names. It is spoken to over HTTPS,
// with what the host trusts, but at port 80 over HTTP.
type External struct {
	Domain   string // DNS name or IP address
	Port     uint16 // default 443
	Username string // with Password sent to it; none when both are empty
	Password host.Secret
}

// Check refuses settings that cannot work for the masters with the given addresses, with every reason.
func (s Settings) Check(masters []netip.Addr) error {
	var problems []error
	s = s.WithDefaults()
	if p := validation.IsDNS1123Subdomain(s.Domain); len(p) > 0 || isAddress(s.Domain) {
		problems = append(problems, fmt.Errorf("domain %q is not a DNS name in lower case", s.Domain))
	}
	if slices.Contains(check.KubernetesPorts(), s.Port) {
		problems = append(problems, fmt.Errorf("port %d is one of Kubernetes' own: choose another", s.Port))
	}
	for _, name := range s.DNSNames {
		if len(validation.IsDNS1123Subdomain(name)) > 0 && len(validation.IsWildcardDNS1123Subdomain(name)) > 0 {
			problems = append(problems, fmt.Errorf("cert.subjectAltName: %q is not a valid DNS name", name))
		}
	}
	for _, ip := range s.IPs {
		if !ip.IsValid() || ip.Zone() != "" {
			problems = append(problems, fmt.Errorf("cert.subjectAltName: %q is not an IP address", ip))
		}
	}
	if c := s.credentials(); c != (registryproxy.Credentials{}) {
		problems = append(problems, c.Check())
	}
	problems = append(problems, s.checkCertificate(masters))
	if s.External != nil {
		problems = append(problems, s.External.check())
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("settings of the registry:\n%w", err)
	}
	return nil
}

// checkCertificate checks a certificate of the site's own. Masters are asked by their addresses.
func (s Settings) checkCertificate(masters []netip.Addr) error {
	switch {
	case len(s.Certificate) == 0 && len(s.Key) == 0 && len(s.Authority) == 0:
		return nil
	case s.NoTLS:
		return errors.New("cert and insecure are mutually exclusive")
	case len(s.Certificate) == 0 || len(s.Key) == 0:
		return errors.New("a certificate and its key go together")
	}
	if _, err := tls.X509KeyPair(s.Certificate, s.Key); err != nil {
		return fmt.Errorf("certificate and key: %w", err)
	}
	hosts := slices.Clone(s.DNSNames)
	for _, address := range slices.Concat(masters, s.IPs) {
		hosts = append(hosts, address.String())
	}
	return registryproxy.Verify(s.Certificate, s.authority(), hosts)
}

func (e External) check() error {
	if len(validation.IsDNS1123Subdomain(e.Domain)) > 0 && !isAddress(e.Domain) {
		return fmt.Errorf("external registry: domain %q is neither a DNS name in lower case nor an IP address", e.Domain)
	}
	if c := e.mirror().Credentials; c != (registryproxy.Credentials{}) {
		if err := c.Check(); err != nil {
			return fmt.Errorf("external registry: %w", err)
		}
	}
	return nil
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// WithDefaults returns the settings with the default domain and port where there is none.
func (s Settings) WithDefaults() Settings {
	s.Domain, s.Port = cmp.Or(s.Domain, defaultDomain), cmp.Or(s.Port, defaultPort)
	return s
}

// Public is what of the settings decides how hosts are configured, as text: without passwords and keys.
func (s Settings) Public() string {
	external := ""
	if s.External != nil {
		external = s.External.Username + "@" + s.External.mirror().URL
	}
	return fmt.Sprintf("%q %q %v %q %q %q %v %q", s.name(), s.Username, s.NoTLS, s.Certificate, s.Authority, s.DNSNames, s.IPs, external)
}

// name is the prefix of an image of the registry.
func (s Settings) name() string {
	s = s.WithDefaults()
	return fmt.Sprintf("%s:%d", s.Domain, s.Port)
}

// loopback is where every host finds it.
func (s Settings) loopback() string { return fmt.Sprintf("127.0.0.1:%d", s.WithDefaults().Port) }

// at is where a master serves it to others.
func (s Settings) at(master netip.Addr) string {
	return netip.AddrPortFrom(master, s.WithDefaults().Port).String()
}

// ownCertificate says that the site brings one.
func (s Settings) ownCertificate() bool { return len(s.Certificate) > 0 }

// authority is what the site's own certificate is verified against.
func (s Settings) authority() []byte {
	if len(s.Authority) == 0 {
		return s.Certificate
	}
	return s.Authority
}

func (s Settings) credentials() registryproxy.Credentials {
	return registryproxy.Credentials{Username: s.Username, Password: s.Password.Reveal()}
}

func (e External) mirror() registryproxy.Mirror {
	m := registryproxy.Mirror{URL: "https://", Credentials: registryproxy.Credentials{Username: e.Username, Password: e.Password.Reveal()}}
	if e.Port == 80 {
		m.URL = "http://"
	}
	m.URL += net.JoinHostPort(e.Domain, strconv.Itoa(int(cmp.Or(e.Port, 443))))
	return m
}
