package phase

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"path"
	"slices"

	"github.com/kubefile/kubefile/registryproxy"
	"github.com/kubefile/kubefile/runner/agent"
)

// registry runs the embedded registry on every host and points containerd at it. The masters serve their images to the others over TLS,
// with a certificate authority of this cluster.
type registry struct{ *Cluster }

func (*registry) Title() string { return "Start the registry" }

const (
	containerdDir  = "/etc/containerd/certs.d"
	registryConfig = "registry.json"
	// secretMode is that of files that tell a password, its hash or a key.
	secretMode = 0o600
)

func (p *registry) Run(ctx context.Context) error {
	authority, err := p.authority(ctx)
	if err != nil {
		return err
	}
	return p.each(ctx, p.members, func(ctx context.Context, m *member) error { return p.host(ctx, m, authority) })
}

func (p *registry) host(ctx context.Context, m *member, authority *registryproxy.Authority) error {
	files, err := p.certificates(ctx, m, authority)
	if err != nil {
		return err
	}
	logins, err := p.logins(ctx, m)
	if err != nil {
		return err
	}
	others, err := p.files(m)
	if err != nil {
		return err
	}
	return p.installUnit(ctx, m, service{registryproxy.Unit, slices.Concat(files, logins, others), p.questions(m)})
}

// questions are what the registry of a host has to answer. A master's has to serve others, and to have an image in its own store.
func (p *registry) questions(m *member) []agent.Question {
	local := "http://" + p.Registry.loopback() + "/v2/"
	questions := []agent.Question{{URL: local}}
	if !m.isMaster() {
		return questions
	}
	served := agent.Question{URL: "https://" + p.Registry.at(m.host.Address) + "/v2/", Authority: p.trusted(m)}
	if p.Registry.NoTLS {
		served.URL, served.Authority = "http://"+p.Registry.at(m.host.Address)+"/v2/", ""
	}
	if p.Registry.Username != "" {
		served.Status = []int{http.StatusUnauthorized}
	}
	questions = append(questions, served)
	if images := p.Artifact.Description.Lock.Images; len(images) > 0 {
		questions = append(questions, agent.Question{
			URL:    local + "store/blobs/" + images[0].Digest.String(), // every blob of a store is in every repository
			Header: map[string]string{registryproxy.ForwardedHeader: "1"},
		})
	}
	return questions
}

// authority reads the cluster's certificate authority from the first master, or makes it there.
func (p *registry) authority(ctx context.Context) (*registryproxy.Authority, error) {
	m := p.first()
	certificate, key := m.path("pki", "authority.crt"), m.path("pki", "authority.key")
	pair := registryproxy.Pair{}
	var err error
	if pair.Certificate, err = m.read(ctx, certificate); err != nil {
		return nil, err
	}
	if pair.Key, err = m.read(ctx, key); err != nil {
		return nil, err
	}
	if len(pair.Certificate) > 0 && len(pair.Key) > 0 {
		return registryproxy.ParseAuthority(pair)
	}
	authority, err := registryproxy.NewAuthority(p.Name)
	if err != nil {
		return nil, err
	}
	if pair, err = authority.Pair(); err != nil {
		return nil, err
	}
	err = p.Do(ctx, m, "make the registry's certificate authority", func(ctx context.Context) error {
		if _, err := m.WriteFile(ctx, key, secretMode, pair.Key); err != nil {
			return err
		}
		_, err := m.WriteFile(ctx, certificate, 0o644, pair.Certificate)
		return err
	})
	return authority, err
}

// certificates are what a host verifies the masters against and, for a master, what it shows.
func (p *registry) certificates(ctx context.Context, m *member, authority *registryproxy.Authority) ([]file, error) {
	own, err := authority.Pair()
	if err != nil {
		return nil, err
	}
	var files []file
	if m != p.first() {
		files = append(files, file{path: m.path("pki", "authority.crt"), mode: 0o644, content: own.Certificate, restart: true})
		if m.isMaster() { // any of them may be the first one day
			files = append(files, file{path: m.path("pki", "authority.key"), mode: secretMode, content: own.Key})
		}
	}
	pair := registryproxy.Pair{Certificate: p.Registry.Certificate, Key: p.Registry.Key}
	if p.Registry.ownCertificate() {
		files = append(files, file{path: p.trusted(m), mode: 0o644, content: p.Registry.authority(), restart: true})
	}
	if !m.isMaster() || p.Registry.NoTLS {
		return files, nil
	}
	certificate, key := m.path("pki", "registry.crt"), m.path("pki", "registry.key")
	if !p.Registry.ownCertificate() {
		issued, err := p.issued(ctx, m, certificate, key, own.Certificate)
		if err != nil || issued {
			return files, err
		}
		if pair, err = authority.Issue(p.reachedAt(m)); err != nil {
			return nil, err
		}
	}
	return append(files,
		file{path: key, mode: secretMode, content: pair.Key, restart: true},
		file{path: certificate, mode: 0o644, content: pair.Certificate, restart: true}), nil
}

// reachedAt are the addresses and names that a master's certificate is for.
func (p *registry) reachedAt(m *member) ([]net.IP, []string) {
	addresses := []net.IP{m.host.Address.AsSlice()}
	for _, ip := range p.Registry.IPs {
		addresses = append(addresses, ip.AsSlice())
	}
	return addresses, append([]string{p.Registry.domain(), m.name}, p.Registry.DNSNames...)
}

// issued reports whether a master has a certificate of the cluster's authority for all that it is reached at.
func (p *registry) issued(ctx context.Context, m *member, certificate, key string, authority []byte) (bool, error) {
	there, err := m.holds(ctx, "test", "-s", certificate, "-a", "-s", key)
	if err != nil || !there {
		return false, err
	}
	content, err := m.ask(ctx, "cat", certificate)
	if err != nil {
		return false, err
	}
	addresses, hosts := p.reachedAt(m)
	for _, address := range addresses {
		hosts = append(hosts, address.String())
	}
	return registryproxy.Verify(content, authority, hosts) == nil, nil
}

// trusted is the file that the masters' certificates are verified against.
func (p *registry) trusted(m *member) string {
	if p.Registry.ownCertificate() {
		return m.path("pki", "registry-authority.crt")
	}
	return m.path("pki", "authority.crt")
}

// logins are the files for the username and password, if there are any: what a host tells the masters, and what a master lets in.
func (p *registry) logins(ctx context.Context, m *member) ([]file, error) {
	credentials := p.Registry.credentials()
	if credentials == (registryproxy.Credentials{}) {
		return nil, nil
	}
	files := []file{{path: m.path("pki", "registry.credentials"), mode: secretMode, content: credentials.Line(), restart: true}}
	if !m.isMaster() {
		return files, nil
	}
	users := m.path("pki", "registry.htpasswd")
	old, err := m.read(ctx, users)
	if err != nil || credentials.Match(old) { // a hash is another one each time
		return files, err
	}
	htpasswd, err := credentials.Htpasswd()
	return append(files, file{path: users, mode: secretMode, content: htpasswd, restart: true}), err
}

func (p *registry) files(m *member) ([]file, error) {
	encoded, err := json.MarshalIndent(p.config(m), "", "  ")
	if err != nil {
		return nil, err
	}
	configFile := m.path(registryConfig)
	files := []file{
		{path: configFile, mode: 0o644, content: append(encoded, '\n'), restart: true},
		{path: unitDir + registryproxy.Unit, mode: 0o644, content: fmt.Appendf(nil, unit, agent.Path, configFile, protectHome(m.Dir)), restart: true},
	}
	mirrors, err := registryproxy.HostsFiles(p.Artifact.Description.Lock, p.Registry.name(), p.mirrors(m))
	if err != nil {
		return nil, err
	}
	mode := fs.FileMode(0o644)
	if slices.ContainsFunc(p.mirrors(m), func(mirror registryproxy.Mirror) bool { return mirror.Credentials != registryproxy.Credentials{} }) {
		mode = secretMode
	}
	for _, name := range slices.Sorted(maps.Keys(mirrors)) {
		files = append(files, file{path: path.Join(containerdDir, name), mode: mode, content: mirrors[name]})
	}
	return files, nil
}

func (p *registry) config(m *member) registryproxy.Config {
	config := registryproxy.Config{
		Domain:    p.Registry.name(),
		Listen:    []registryproxy.Listener{{Address: p.Registry.loopback()}},
		Seeds:     m.rotated(p.seeds(m)),
		Authority: p.trusted(m),
		PlainHTTP: p.Registry.NoTLS,
		Records:   m.path("records"),
	}
	guarded := p.Registry.Username != ""
	if guarded {
		config.Credentials = m.path("pki", "registry.credentials")
	}
	if !m.isMaster() {
		return config
	}
	// Application images bring a store of their own.
	config.Stores = []string{m.path("registry"), m.path("apps", "*", "registry")}
	listener := registryproxy.Listener{Address: p.Registry.at(m.host.Address)}
	if !p.Registry.NoTLS {
		listener.Certificate, listener.Key = m.path("pki", "registry.crt"), m.path("pki", "registry.key")
	}
	if guarded {
		listener.Users = m.path("pki", "registry.htpasswd")
	}
	config.Listen = append(config.Listen, listener)
	return config
}

// mirrors are what containerd on a host asks, in this order.
func (p *registry) mirrors(m *member) []registryproxy.Mirror {
	mirrors := []registryproxy.Mirror{{URL: "http://" + p.Registry.loopback()}}
	for _, seed := range m.rotated(p.seeds(nil)) {
		mirror := registryproxy.Mirror{URL: "https://" + seed, Authority: p.trusted(m), Credentials: p.Registry.credentials()}
		if p.Registry.NoTLS {
			mirror.URL, mirror.Authority = "http://"+seed, ""
		}
		mirrors = append(mirrors, mirror)
	}
	if p.Registry.External != nil {
		mirrors = append(mirrors, p.Registry.External.mirror())
	}
	return mirrors
}

// unit takes the agent's path, the configuration's, and the value of ProtectHome.
const unit = `[Unit]
Description=Images of the cluster, from its cluster image
After=network-online.target
Wants=network-online.target
Before=containerd.service kubelet.service

[Service]
ExecStart=%s registry serve --config %s
Restart=always
RestartSec=2
NoNewPrivileges=true
ProtectHome=%s
PrivateTmp=true

[Install]
WantedBy=multi-user.target
`

// rotated is the order in which a node asks the masters: each begins with another one, by its address, or the first master would serve all pulls
// of a large cluster. Order and set of the masters decide alone, so that the files of a host change only with them.
func (m *member) rotated(seeds []string) []string {
	if len(seeds) < 2 || m.isMaster() { // which has the images itself
		return seeds
	}
	hash := fnv.New32a()
	hash.Write([]byte(m.host.Address.String()))
	at := int(hash.Sum32() % uint32(len(seeds)))
	return slices.Concat(seeds[at:], seeds[:at])
}

// seeds are the registries of all masters of the cluster but the given host.
func (c *Cluster) seeds(except *member) []string {
	var seeds []string
	for _, address := range c.masterAddresses() {
		if except == nil || address != except.host.Address {
			seeds = append(seeds, c.Registry.at(address))
		}
	}
	return seeds
}
