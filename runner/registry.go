package runner

import (
	"fmt"
	"io"
	"net/netip"
	"os"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/registry"
)

// registry reads what the Clusterfile says of registries, with the passwords and certificates that it names.
func (s Site) registry() (registry.Settings, error) {
	local, external := s.Clusterfile.Cluster.Registry.LocalRegistry, s.Clusterfile.Cluster.Registry.ExternalRegistry
	var none registry.Settings
	port, err := local.Port.Number()
	if err != nil {
		return none, err
	}
	settings := registry.Settings{
		Domain: local.Domain, Port: port, Username: local.Username, NoTLS: local.Insecure,
		DNSNames: local.Cert.SubjectAltName.DNSNames,
	}
	if settings.Password, err = s.Secrets.Resolve("the password of the registry", local.Password); err != nil {
		return none, err
	}
	for _, text := range local.Cert.SubjectAltName.IPs {
		address, err := netip.ParseAddr(text)
		if err != nil {
			return none, err
		}
		settings.IPs = append(settings.IPs, address)
	}
	for _, pem := range []struct {
		name string
		into *[]byte
	}{{local.Cert.CertFile, &settings.Certificate}, {local.Cert.KeyFile, &settings.Key}, {local.Cert.CAFile, &settings.Authority}} {
		if *pem.into, err = readPEM(pem.name); err != nil {
			return none, fmt.Errorf("registry.localRegistry.cert: %w", err)
		}
	}
	if external != nil {
		settings.External = &registry.External{Domain: external.Domain, Username: external.Username}
		if settings.External.Port, err = external.Port.Number(); err != nil {
			return none, err
		}
		if settings.External.Password, err = s.Secrets.Resolve("the password of "+external.Domain, external.Password); err != nil {
			return none, err
		}
	}
	var masters []netip.Addr
	for _, h := range s.Clusterfile.Cluster.Hosts {
		if h.Role == host.RoleMaster {
			masters = append(masters, h.Address)
		}
	}
	return settings, settings.Check(masters)
}

// maxPEM bounds a certificate's file, in bytes.
const maxPEM = 1 << 20

func readPEM(name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxPEM))
}
