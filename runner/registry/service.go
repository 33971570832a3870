// Package registry serves the images of a cluster on its hosts: the settings of a site, and the service that they make of the embedded registry.
package registry

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
	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/store"
	"github.com/kubefile/kubefile/runner/unit"
)

// Service runs the embedded registry on every host and points containerd at it. The masters serve their images to the others over TLS,
// with a certificate authority of this cluster.
type Service struct {
	*execute.Session
	Settings Settings
	Artifact *source.Artifact // whose images are served
	Store    *store.Store     // knows masters that are not part of the run
}

// Title says what the phase does, for a person.
func (*Service) Title() string { return "Start the registry" }

const (
	// ContainerdDir has a directory for each registry that containerd asks others for.
	ContainerdDir = "/etc/containerd/certs.d"
	// ConfigFile is the configuration of the service, in the cluster's directory.
	ConfigFile = "registry.json"
)

// Run does it.
func (p *Service) Run(ctx context.Context) error {
	authority, err := p.authority(ctx)
	if err != nil {
		return err
	}
	return p.Each(ctx, p.Members, func(ctx context.Context, m *execute.Member) error { return p.host(ctx, m, authority) })
}

func (p *Service) host(ctx context.Context, m *execute.Member, authority *registryproxy.Authority) error {
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
	return unit.Service{Name: registryproxy.Unit, Files: slices.Concat(files, logins, others), Answers: p.questions(m)}.Install(ctx, p.Session, m)
}

// questions are what the registry of a host has to answer. A master's has to serve others, and to have an image in its own store.
func (p *Service) questions(m *execute.Member) []wire.Question {
	local := "http://" + p.Settings.loopback() + "/v2/"
	questions := []wire.Question{{URL: local}}
	if !m.IsMaster() {
		return questions
	}
	served := wire.Question{URL: "https://" + p.Settings.at(m.Host.Address) + "/v2/", Authority: p.trusted(m)}
	if p.Settings.NoTLS {
		served.URL, served.Authority = "http://"+p.Settings.at(m.Host.Address)+"/v2/", ""
	}
	if p.Settings.Username != "" {
		served.Status = []int{http.StatusUnauthorized}
	}
	questions = append(questions, served)
	if images := p.Artifact.Description.Lock.Images; len(images) > 0 {
		questions = append(questions, wire.Question{
			URL:    local + "store/blobs/" + images[0].Digest.String(), // every blob of a store is in every repository
			Header: map[string]string{registryproxy.ForwardedHeader: "1"},
		})
	}
	return questions
}

// authority reads the cluster's certificate authority from the first master, or makes it there.
func (p *Service) authority(ctx context.Context) (*registryproxy.Authority, error) {
	m := p.First()
	certificate, key := m.Path("pki", "authority.crt"), m.Path("pki", "authority.key")
	pair := registryproxy.Pair{}
	var err error
	if pair.Certificate, err = m.Read(ctx, certificate); err != nil {
		return nil, err
	}
	if pair.Key, err = m.Read(ctx, key); err != nil {
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
		if _, err := m.WriteFile(ctx, key, unit.SecretMode, pair.Key); err != nil {
			return err
		}
		_, err := m.WriteFile(ctx, certificate, 0o644, pair.Certificate)
		return err
	})
	return authority, err
}

// certificates are what a host verifies the masters against and, for a master, what it shows.
func (p *Service) certificates(ctx context.Context, m *execute.Member, authority *registryproxy.Authority) ([]unit.File, error) {
	own, err := authority.Pair()
	if err != nil {
		return nil, err
	}
	var files []unit.File
	if m != p.First() {
		files = append(files, unit.File{Path: m.Path("pki", "authority.crt"), Mode: 0o644, Content: own.Certificate, Restart: true})
		if m.IsMaster() { // any of them may be the first one day
			files = append(files, unit.File{Path: m.Path("pki", "authority.key"), Mode: unit.SecretMode, Content: own.Key})
		}
	}
	pair := registryproxy.Pair{Certificate: p.Settings.Certificate, Key: p.Settings.Key}
	if p.Settings.ownCertificate() {
		files = append(files, unit.File{Path: p.trusted(m), Mode: 0o644, Content: p.Settings.authority(), Restart: true})
	}
	if !m.IsMaster() || p.Settings.NoTLS {
		return files, nil
	}
	certificate, key := m.Path("pki", "registry.crt"), m.Path("pki", "registry.key")
	if !p.Settings.ownCertificate() {
		issued, err := p.issued(ctx, m, certificate, key, own.Certificate)
		if err != nil || issued {
			return files, err
		}
		if pair, err = authority.Issue(p.reachedAt(m)); err != nil {
			return nil, err
		}
	}
	return append(files,
		unit.File{Path: key, Mode: unit.SecretMode, Content: pair.Key, Restart: true},
		unit.File{Path: certificate, Mode: 0o644, Content: pair.Certificate, Restart: true}), nil
}

// reachedAt are the addresses and names that a master's certificate is for.
func (p *Service) reachedAt(m *execute.Member) ([]net.IP, []string) {
	addresses := []net.IP{m.Host.Address.AsSlice()}
	for _, ip := range p.Settings.IPs {
		addresses = append(addresses, ip.AsSlice())
	}
	return addresses, append([]string{p.Settings.WithDefaults().Domain, m.Name}, p.Settings.DNSNames...)
}

// issued reports whether a master has a certificate of the cluster's authority for all that it is reached at.
func (p *Service) issued(ctx context.Context, m *execute.Member, certificate, key string, authority []byte) (bool, error) {
	for _, name := range []string{certificate, key} {
		if there, err := m.Test(ctx, "-s", name); err != nil || !there {
			return false, err
		}
	}
	content, err := m.Fetch(ctx, certificate)
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
func (p *Service) trusted(m *execute.Member) string {
	if p.Settings.ownCertificate() {
		return m.Path("pki", "registry-authority.crt")
	}
	return m.Path("pki", "authority.crt")
}

// logins are the files for the username and password, if there are any: what a host tells the masters, and what a master lets in.
func (p *Service) logins(ctx context.Context, m *execute.Member) ([]unit.File, error) {
	credentials := p.Settings.credentials()
	if credentials == (registryproxy.Credentials{}) {
		return nil, nil
	}
	files := []unit.File{{Path: m.Path("pki", "registry.credentials"), Mode: unit.SecretMode, Content: credentials.Line(), Restart: true}}
	if !m.IsMaster() {
		return files, nil
	}
	users := m.Path("pki", "registry.htpasswd")
	old, err := m.Read(ctx, users)
	if err != nil || credentials.Match(old) { // a hash is another one each time
		return files, err
	}
	htpasswd, err := credentials.Htpasswd()
	return append(files, unit.File{Path: users, Mode: unit.SecretMode, Content: htpasswd, Restart: true}), err
}

func (p *Service) files(m *execute.Member) ([]unit.File, error) {
	encoded, err := json.MarshalIndent(p.config(m), "", "  ")
	if err != nil {
		return nil, err
	}
	configFile := m.Path(ConfigFile)
	files := []unit.File{
		{Path: configFile, Mode: 0o644, Content: append(encoded, '\n'), Restart: true},
		{Path: unit.Dir + registryproxy.Unit, Mode: 0o644, Content: fmt.Appendf(nil, unitText, wire.Path, configFile, unit.ProtectHome(m.Dir)), Restart: true},
	}
	mirrors, err := registryproxy.HostsFiles(p.Artifact.Description.Lock, p.Settings.name(), p.mirrors(m))
	if err != nil {
		return nil, err
	}
	mode := fs.FileMode(0o644)
	if slices.ContainsFunc(p.mirrors(m), func(mirror registryproxy.Mirror) bool { return mirror.Credentials != registryproxy.Credentials{} }) {
		mode = unit.SecretMode
	}
	for _, name := range slices.Sorted(maps.Keys(mirrors)) {
		files = append(files, unit.File{Path: path.Join(ContainerdDir, name), Mode: mode, Content: mirrors[name]})
	}
	return files, nil
}

func (p *Service) config(m *execute.Member) registryproxy.Config {
	config := registryproxy.Config{
		Domain:    p.Settings.name(),
		Listen:    []registryproxy.Listener{{Address: p.Settings.loopback()}},
		Seeds:     Order(m, p.seeds(m)),
		Authority: p.trusted(m),
		PlainHTTP: p.Settings.NoTLS,
		Records:   m.Path("records"),
	}
	guarded := p.Settings.Username != ""
	if guarded {
		config.Credentials = m.Path("pki", "registry.credentials")
	}
	if !m.IsMaster() {
		return config
	}
	// Application images bring a store of their own.
	config.Stores = []string{m.Path("registry"), m.Path("apps", "*", "registry")}
	listener := registryproxy.Listener{Address: p.Settings.at(m.Host.Address)}
	if !p.Settings.NoTLS {
		listener.Certificate, listener.Key = m.Path("pki", "registry.crt"), m.Path("pki", "registry.key")
	}
	if guarded {
		listener.Users = m.Path("pki", "registry.htpasswd")
	}
	config.Listen = append(config.Listen, listener)
	return config
}

// mirrors are what containerd on a host asks, in this order.
func (p *Service) mirrors(m *execute.Member) []registryproxy.Mirror {
	mirrors := []registryproxy.Mirror{{URL: "http://" + p.Settings.loopback()}}
	for _, seed := range Order(m, p.seeds(nil)) {
		mirror := registryproxy.Mirror{URL: "https://" + seed, Authority: p.trusted(m), Credentials: p.Settings.credentials()}
		if p.Settings.NoTLS {
			mirror.URL, mirror.Authority = "http://"+seed, ""
		}
		mirrors = append(mirrors, mirror)
	}
	if p.Settings.External != nil {
		mirrors = append(mirrors, p.Settings.External.mirror())
	}
	return mirrors
}

// unitText takes the agent's path, the configuration's, and the value of ProtectHome.
const unitText = `[Unit]
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

// Order is the order in which a node asks the masters: each begins with another one, by its address, or the first master would serve all pulls
// of a large cluster. Order and set of the masters decide alone, so that the files of a host change only with them.
func Order(m *execute.Member, seeds []string) []string {
	if len(seeds) < 2 || m.IsMaster() { // which has the images itself
		return seeds
	}
	hash := fnv.New32a()
	hash.Write([]byte(m.Host.Address.String()))
	at := int(hash.Sum32() % uint32(len(seeds)))
	return slices.Concat(seeds[at:], seeds[:at])
}

// seeds are the registries of all masters of the cluster but the given host.
func (p *Service) seeds(except *execute.Member) []string {
	var seeds []string
	for _, address := range p.Store.MasterAddresses(p.Session) {
		if except == nil || address != except.Host.Address {
			seeds = append(seeds, p.Settings.at(address))
		}
	}
	return seeds
}
