package leave

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/registryproxy"
	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/balancer"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/registry"
	"github.com/kubefile/kubefile/runner/unit"
)

// UpdateRest takes the hosts that leave out of the files of those that stay: /etc/hosts, the masters of the API's load balancer, and the registries
// that the host's own and containerd ask. A removal has no image, so it changes the files that are there, and only those that we wrote.
type UpdateRest struct{ *Departure }

// Title says what the phase does, for a person.
func (*UpdateRest) Title() string { return "Update the hosts that stay" }

// Run changes only what the hosts that leave are in.
func (p *UpdateRest) Run(ctx context.Context) error {
	if p.DryRun && p.Leaving.Pruned {
		return nil // the run before does not write them any more, and its plan has that
	}
	return p.Each(ctx, p.Members, func(ctx context.Context, m *execute.Member) error {
		if m.IsNew {
			return nil // a removal that was interrupted has cleaned it
		}
		if err := p.hostsFile(ctx, m); err != nil {
			return m.Failure("", err)
		}
		if len(p.Leaving.Masters) == 0 {
			return nil
		}
		for _, update := range []func(context.Context, *execute.Member) error{p.balancer, p.registry} {
			if err := update(ctx, m); err != nil {
				return m.Failure("", err)
			}
		}
		return nil
	})
}

// hostsFile takes the names of the hosts out of the cluster's lines in /etc/hosts.
func (p *UpdateRest) hostsFile(ctx context.Context, m *execute.Member) error {
	survey, err := m.Survey(ctx)
	if err != nil || survey == nil {
		return err
	}
	have := survey.Lines(execute.HostsFile, p.Name)
	gone := map[string]bool{}
	for _, l := range p.leavers {
		gone[l.address.String()+" "+execute.EndpointName] = true
		gone[l.address.String()+" "+l.name] = true
	}
	left := slices.DeleteFunc(slices.Clone(have), func(line string) bool { return gone[line] })
	if len(left) == len(have) {
		return nil
	}
	return p.Do(ctx, m, "take the hosts that leave out of "+execute.HostsFile, func(ctx context.Context) error {
		_, err := m.WriteBlock(ctx, execute.HostsFile, p.Name, left)
		return err
	})
}

// changeConfig is what becomes of a configuration that we wrote, as JSON; nil when it stays. One that a newer program wrote may have what this one
// does not know: it stays too, and the next apply writes it.
func changeConfig[T any](p *UpdateRest, m *execute.Member, name string, content []byte, parse func([]byte) (T, error), change func(*T)) []byte {
	if len(content) == 0 {
		return nil
	}
	encode := func(config T) []byte {
		data, err := json.MarshalIndent(config, "", "  ")
		if err != nil {
			return nil
		}
		return append(data, '\n')
	}
	config, err := parse(content)
	if err != nil || !bytes.Equal(encode(config), content) {
		p.Report.Line(m.String(), fmt.Sprintf("warning: %s is not as this program writes it, and stays as it is; the next apply writes it again", name))
		return nil
	}
	change(&config)
	return encode(config)
}

// leavingAt reports whether ADDRESS:PORT is on a host that leaves.
func (p *UpdateRest) leavingAt(text string) bool {
	parsed, err := netip.ParseAddrPort(text)
	return err == nil && p.Leaving.Has(parsed.Addr())
}

// balancer takes the masters out of the load balancer of a node.
func (p *UpdateRest) balancer(ctx context.Context, m *execute.Member) error {
	old, err := m.Read(ctx, m.Path(balancer.ConfigFile))
	if err != nil {
		return err
	}
	var listen string
	content := changeConfig(p, m, balancer.ConfigFile, old, balancer.ParseConfig, func(c *balancer.Config) {
		listen = c.Listen[0]
		c.Backends = slices.DeleteFunc(c.Backends, p.leavingAt)
	})
	if content == nil {
		return nil
	}
	files := []unit.File{{Path: m.Path(balancer.ConfigFile), Mode: 0o644, Content: content, Restart: true}}
	return unit.Service{Name: balancer.Unit, Files: files, Answers: []wire.Question{{URL: "tcp://" + listen}}}.Install(ctx, p.Session, m)
}

// registry takes the masters out of what a host's registry and containerd ask. The order of those that are left is that of an installation without
// them.
func (p *UpdateRest) registry(ctx context.Context, m *execute.Member) error {
	old, err := m.Read(ctx, m.Path(registry.ConfigFile))
	if err != nil {
		return err
	}
	var local string
	content := changeConfig(p, m, registry.ConfigFile, old, registryproxy.ParseConfig, func(c *registryproxy.Config) {
		local = c.Listen[0].Address
		c.Seeds = p.remaining(m, c.Seeds)
	})
	if content == nil {
		return nil
	}
	files := []unit.File{{Path: m.Path(registry.ConfigFile), Mode: 0o644, Content: content, Restart: true}}
	mirrors, err := p.mirrors(ctx, m, local)
	if err != nil {
		return err
	}
	return unit.Service{Name: registryproxy.Unit, Files: append(files, mirrors...), Answers: []wire.Question{{URL: "http://" + local + "/v2/"}}}.Install(ctx, p.Session, m)
}

// remaining are the registries, as ADDRESS:PORT, of masters that stay, in the order in which a host asks them.
func (p *UpdateRest) remaining(m *execute.Member, seeds []string) []string {
	left := slices.DeleteFunc(slices.Clone(seeds), p.leavingAt)
	slices.SortFunc(left, func(a, b string) int {
		one, _ := netip.ParseAddrPort(a)
		other, _ := netip.ParseAddrPort(b)
		return cmp.Or(one.Compare(other), strings.Compare(a, b))
	})
	return registry.Order(m, left)
}

// mirrors are containerd's files for registries. A file that does not begin with the host's own registry is not ours.
func (p *UpdateRest) mirrors(ctx context.Context, m *execute.Member, local string) ([]unit.File, error) {
	out, err := m.Ask(ctx, "find", registry.ContainerdDir, "-mindepth", "2", "-maxdepth", "2", "-type", "f", "-name", "hosts.toml")
	if err != nil {
		return nil, err
	}
	var files []unit.File
	for _, name := range slices.Sorted(strings.Lines(string(out))) {
		name = strings.TrimSuffix(name, "\n")
		if path.Dir(path.Dir(name)) != registry.ContainerdDir {
			continue
		}
		old, err := m.Ask(ctx, "cat", name)
		if err != nil {
			return nil, err
		}
		content, ours := registryproxy.ChangeMirrors(old, func(urls []string) []string { return p.asked(m, local, urls) })
		if !ours || bytes.Equal(content, old) {
			continue
		}
		mode := fs.FileMode(0o644)
		if bytes.Contains(content, []byte("Authorization")) {
			mode = unit.SecretMode
		}
		files = append(files, unit.File{Path: name, Mode: mode, Content: content})
	}
	return files, nil
}

// asked are the mirrors that stay, in order: the host's own registry, the masters', and the site's.
func (p *UpdateRest) asked(m *execute.Member, local string, urls []string) []string {
	if urls[0] != "http://"+local {
		return urls
	}
	_, port, _ := net.SplitHostPort(local)
	scheme, at, seeds := "", -1, []string{}
	var others []string
	for _, url := range urls[1:] {
		before, hostPort, _ := strings.Cut(url, "://")
		if address, err := netip.ParseAddrPort(hostPort); err == nil && fmt.Sprint(address.Port()) == port && p.isMaster(address.Addr()) {
			seeds, scheme = append(seeds, hostPort), before
			if at < 0 {
				at = len(others)
			}
			continue
		}
		others = append(others, url)
	}
	if at < 0 {
		return urls
	}
	left := urls[:1:1]
	left = append(left, others[:at]...)
	for _, seed := range p.remaining(m, seeds) {
		left = append(left, scheme+"://"+seed)
	}
	return append(left, others[at:]...)
}

// isMaster reports whether an address is a master's, of those that stay or of those that leave.
func (p *UpdateRest) isMaster(address netip.Addr) bool {
	return slices.Contains(p.Leaving.Masters, address) || slices.Contains(p.Store.MasterAddresses(p.Session), address)
}
