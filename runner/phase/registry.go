package phase

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"path"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/registryproxy"
	"github.com/kubefile/kubefile/runner/agent"
)

// registry runs the embedded registry on every host and points containerd at it. The masters serve their images to the others over TLS,
// with a certificate authority of this cluster.
type registry struct{ *Cluster }

func (*registry) Title() string { return "Start the registry" }

const (
	unitFile      = "/etc/systemd/system/" + registryproxy.Unit
	containerdDir = "/etc/containerd/certs.d"
	loopback      = "127.0.0.1:" + registryPort
)

func (p *registry) Run(ctx context.Context) error {
	authority, err := p.authority(ctx)
	if err != nil {
		return err
	}
	return p.each(ctx, p.members, func(ctx context.Context, m *member) error { return p.host(ctx, m, authority) })
}

// file is one file that a host needs, and what it is for.
type file struct {
	path    string
	mode    fs.FileMode
	content []byte
	restart bool // the unit has to read it anew
}

func (p *registry) host(ctx context.Context, m *member, authority *registryproxy.Authority) error {
	files, err := p.files(m)
	if err != nil {
		return err
	}
	certificates, err := p.certificates(ctx, m, authority)
	if err != nil {
		return err
	}
	restart := false
	for _, f := range append(certificates, files...) {
		same, err := m.has(ctx, f.path, digest.FromBytes(f.content))
		if err != nil {
			return err
		}
		if same {
			continue
		}
		restart = restart || f.restart
		err = p.Do(ctx, m, "write "+f.path, func(ctx context.Context) error {
			_, err := m.WriteFile(ctx, f.path, f.mode, f.content)
			return err
		})
		if err != nil {
			return err
		}
	}
	return p.start(ctx, m, restart)
}

func (p *registry) start(ctx context.Context, m *member, restart bool) error {
	active, err := m.holds(ctx, "systemctl", "is-active", "--quiet", registryproxy.Unit)
	if err != nil || (active && !restart) {
		return err
	}
	return p.Do(ctx, m, "start "+registryproxy.Unit, func(ctx context.Context) error {
		for _, argv := range [][]string{
			{"systemctl", "daemon-reload"},
			{"systemctl", "enable", "--quiet", registryproxy.Unit},
			{"systemctl", "restart", registryproxy.Unit},
		} {
			if _, err := m.ask(ctx, argv...); err != nil {
				return err
			}
		}
		return nil
	})
}

// authority reads the cluster's certificate authority from the first master, or makes it there.
func (p *registry) authority(ctx context.Context) (*registryproxy.Authority, error) {
	m := p.first()
	certificate, key := m.path("pki", "authority.crt"), m.path("pki", "authority.key")
	there, err := m.holds(ctx, "test", "-s", certificate, "-a", "-s", key)
	if err != nil {
		return nil, err
	}
	if there {
		pair := registryproxy.Pair{}
		if pair.Certificate, err = m.ask(ctx, "cat", certificate); err != nil {
			return nil, err
		}
		if pair.Key, err = m.ask(ctx, "cat", key); err != nil {
			return nil, err
		}
		return registryproxy.ParseAuthority(pair)
	}
	authority, err := registryproxy.NewAuthority(p.Name)
	if err != nil {
		return nil, err
	}
	pair, err := authority.Pair()
	if err != nil {
		return nil, err
	}
	err = p.Do(ctx, m, "make the registry's certificate authority", func(ctx context.Context) error {
		if _, err := m.WriteFile(ctx, key, 0o600, pair.Key); err != nil {
			return err
		}
		_, err := m.WriteFile(ctx, certificate, 0o644, pair.Certificate)
		return err
	})
	return authority, err
}

// certificates are the authority's for every host but the one that it was made on and, for a master without one, its own.
func (p *registry) certificates(ctx context.Context, m *member, authority *registryproxy.Authority) ([]file, error) {
	own, err := authority.Pair()
	if err != nil {
		return nil, err
	}
	var files []file
	if m != p.first() {
		files = append(files, file{path: m.path("pki", "authority.crt"), mode: 0o644, content: own.Certificate, restart: true})
	}
	if !m.isMaster() {
		return files, nil
	}
	there, err := m.holds(ctx, "test", "-s", m.path("pki", "registry.crt"), "-a", "-s", m.path("pki", "registry.key"))
	if err != nil || there {
		return files, err
	}
	pair, err := authority.Issue([]net.IP{m.host.Address.AsSlice()}, []string{registryDomain, m.name()})
	if err != nil {
		return nil, err
	}
	return append(files,
		file{path: m.path("pki", "registry.key"), mode: 0o600, content: pair.Key, restart: true},
		file{path: m.path("pki", "registry.crt"), mode: 0o644, content: pair.Certificate, restart: true}), nil
}

func (p *registry) files(m *member) ([]file, error) {
	config := registryproxy.Config{
		Listen:    []registryproxy.Listener{{Address: loopback}},
		Seeds:     p.seeds(m),
		Authority: m.path("pki", "authority.crt"),
		Records:   m.path("records"),
	}
	if m.isMaster() {
		config.Stores = []string{m.path("registry"), m.path("apps", "*", "registry")}
		config.Listen = append(config.Listen, registryproxy.Listener{
			Address:     net.JoinHostPort(m.String(), registryPort),
			Certificate: m.path("pki", "registry.crt"),
			Key:         m.path("pki", "registry.key"),
		})
	}
	encoded, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return nil, err
	}
	configFile := m.path("registry.json")
	files := []file{
		{path: configFile, mode: 0o644, content: append(encoded, '\n'), restart: true},
		{path: unitFile, mode: 0o644, content: fmt.Appendf(nil, unit, agent.Path, configFile), restart: true},
	}
	mirrors, err := registryproxy.HostsFiles(p.Artifact.Description.Lock, loopback, p.seeds(nil), m.path("pki", "authority.crt"))
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(mirrors)) {
		files = append(files, file{path: path.Join(containerdDir, name), mode: 0o644, content: mirrors[name]})
	}
	return files, nil
}

// unit takes the agent's path and the configuration's.
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
ProtectHome=true
PrivateTmp=true

[Install]
WantedBy=multi-user.target
`

// seeds are the registries of all masters but the given one.
func (c *Cluster) seeds(except *member) []string {
	var seeds []string
	for _, m := range c.masters() {
		if m != except {
			seeds = append(seeds, net.JoinHostPort(m.String(), registryPort))
		}
	}
	return seeds
}
