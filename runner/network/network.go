// Package network gives hosts what Kubernetes takes for granted and an isolated network lacks.
package network

import (
	"context"
	_ "embed"
	"fmt"
	"net/netip"
	"strings"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/unit"
)

// Adapt gives hosts a route to the services where there is no default route, and nameservers for pods where there is none that they can ask.
type Adapt struct {
	*execute.Session
	// Kubeadm are the documents of the cluster, with the networks of its services.
	Kubeadm *kubeadm.Documents
}

// Title says what the phase does, for a person.
func (*Adapt) Title() string { return "Adapt to the hosts' network" }

const (
	// ResolvFile is the kubelet's resolv.conf, in the cluster's directory.
	ResolvFile = "resolv.conf"
	// RouteUnit sets the route to the services, now and after every boot.
	RouteUnit = "kubefile-service-route.service"
	// RouteScript is what the unit runs, in the cluster's directory.
	RouteScript = "service-route.sh"
)

// Run does it on all hosts that the run prepares.
func (p *Adapt) Run(ctx context.Context) error {
	return p.Each(ctx, p.Targets(), func(ctx context.Context, m *execute.Member) (err error) {
		if !m.Unchanged() { // plugins may have set up the network
			if m.Facts, err = host.Gather(ctx, m.Conn, p.DataRoot); err != nil {
				return err
			}
		}
		if err := p.route(ctx, m); err != nil {
			return err
		}
		if m.Joined {
			return nil // its kubelet has what it was given
		}
		return p.nameservers(ctx, m)
	})
}

// nameservers writes a file for the kubelet where the host has no nameserver that pods can ask: without one the cluster's DNS does not start,
// and with a loopback address it would ask itself.
func (p *Adapt) nameservers(ctx context.Context, m *execute.Member) error {
	servers := m.Facts.PodNameservers()
	if p.Kubeadm.SetsResolvConf() || len(servers) > 0 && len(servers) == len(m.Facts.Nameservers()) {
		return nil
	}
	m.ResolvConf = m.Path(ResolvFile)
	f := unit.File{Path: m.ResolvConf, Mode: 0o644, Content: p.resolv(m)}
	if !m.IsNew {
		if same, err := f.IsOn(ctx, m); err != nil || same {
			return err
		}
	}
	what := fmt.Sprintf("write %s for the kubelet (the host has no nameserver that pods can ask)", f.Path)
	if len(servers) > 0 {
		what = fmt.Sprintf("write %s for the kubelet (%s has a nameserver that pods cannot ask)", f.Path, m.Facts.ResolvConf)
	}
	return p.Do(ctx, m, what, func(ctx context.Context) error {
		_, err := m.WriteFile(ctx, f.Path, f.Mode, f.Content)
		return err
	})
}

// resolv is the host's file with the nameservers that pods can ask. Where there is none, it is the host's own address: what listens there
// answers, such as a local dnsmasq, and if nothing does, questions are refused at once.
func (p *Adapt) resolv(m *execute.Member) []byte {
	servers := m.Facts.PodNameservers()
	if len(servers) == 0 {
		servers = []string{m.Host.Address.String()}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# For the pods of cluster %s, because the host has a nameserver that they cannot ask, or none.\n", p.Name)
	for _, line := range m.Facts.Resolv {
		if !strings.HasPrefix(line, "nameserver") {
			b.WriteString(line + "\n")
		}
	}
	for _, server := range servers {
		b.WriteString("nameserver " + server + "\n")
	}
	return []byte(b.String())
}

//go:embed service-route.sh
var serviceRouteScript []byte

// routeUnitText takes the script's path and its arguments, twice.
const routeUnitText = `[Unit]
Description=Route to the services of the cluster, on a host without a default route
After=network-online.target
Wants=network-online.target
Before=kubelet.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh %[1]s replace %[2]s
ExecStop=/bin/sh %[1]s delete %[2]s

[Install]
WantedBy=multi-user.target
`

// missingRoutes are the services' networks that a host has no route to, each after its address of their family.
func (p *Adapt) missingRoutes(m *execute.Member) (missing []string) {
	for _, text := range strings.Split(p.Kubeadm.ServiceSubnet(), ",") {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			continue // refused before
		}
		address := m.Host.Address
		if address.Is4() != network.Addr().Is4() {
			address = m.Facts.Peer(address)
		}
		if m.Facts.Knows(host.TopicRoutes) && len(m.Facts.DefaultRoutes(network.Addr().Is4())) == 0 && address.IsValid() && m.Facts.Interface(address) != "" {
			missing = append(missing, address.String(), network.Masked().String())
		}
	}
	return missing
}

// route installs the unit where a route is missing. Where the site has a default route by now, one that is there stays.
func (p *Adapt) route(ctx context.Context, m *execute.Member) error {
	missing := p.missingRoutes(m)
	if missing == nil {
		return nil
	}
	files := []unit.File{
		{Path: m.Path(RouteScript), Mode: 0o644, Content: serviceRouteScript},
		{Path: unit.Dir + RouteUnit, Mode: 0o644, Content: fmt.Appendf(nil, routeUnitText, m.Path(RouteScript), strings.Join(missing, " "))},
	}
	changed := false
	for _, f := range files {
		same, err := f.IsOn(ctx, m)
		if err != nil {
			return err
		}
		if same {
			continue
		}
		changed = true
		err = p.Do(ctx, m, "write "+f.Path, func(ctx context.Context) error {
			_, err := m.WriteFile(ctx, f.Path, f.Mode, f.Content)
			return err
		})
		if err != nil {
			return err
		}
	}
	active, err := m.Holds(ctx, "systemctl", "is-active", "--quiet", RouteUnit)
	if err != nil || active && !changed {
		return err
	}
	what := fmt.Sprintf("start %s (no default route: a route to services %s through %s)", RouteUnit, missing[1], m.Facts.Interface(m.Host.Address))
	return p.Do(ctx, m, what, func(ctx context.Context) error {
		for _, argv := range [][]string{
			{"systemctl", "daemon-reload"}, {"systemctl", "enable", "--quiet", RouteUnit}, {"systemctl", "restart", RouteUnit},
		} {
			if _, err := m.Ask(ctx, argv...); err != nil {
				return err
			}
		}
		return nil
	})
}
