package phase

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/kubefile/kubefile/runner/agent"
	"github.com/kubefile/kubefile/runner/host"
)

// preflight reaches all hosts at once, and reports everything that is wrong with any of them before one is changed.
type preflight struct{ *Cluster }

func (*preflight) Title() string { return "Look at the hosts" }

// Ports that Kubernetes listens on (its documentation, "Ports and Protocols").
var (
	nodePorts   = []uint16{10250}
	masterPorts = []uint16{6443, 2379, 2380, 10257, 10259}
)

// hostCommands are what scripts, kubeadm, the kubelet and the phases call.
var hostCommands = []string{"iptables", "mount", "conntrack", "flock", "sha256sum"}

func (p *preflight) Run(ctx context.Context) error {
	var masters []netip.Addr
	for _, h := range p.Hosts {
		if h.Role == host.RoleMaster {
			masters = append(masters, h.Address)
		}
	}
	if err := p.Registry.Check(masters); err != nil {
		return err
	}
	reports := host.Connect(ctx, p.Dialer, p.Hosts, p.DataRoot)
	own := map[host.Host]bool{}
	for _, r := range reports {
		if r.Err != nil {
			continue
		}
		m := p.join(r)
		ours, err := m.holds(ctx, "sh", "-c", `test -x "$1" && test -d "$2"`, "sh", agent.Path, p.dir())
		if err != nil {
			return err
		}
		m.isNew = !ours
		own[r.Host] = ours
	}
	problems := host.Preflight(reports, func(h host.Host) host.Needs { return p.needs(h, own[h]) })
	for _, problem := range problems {
		if problem.Warning {
			p.Report.Line(problem.Host, "warning: "+problem.What)
		}
	}
	if err := problems.Err(); err != nil {
		return fmt.Errorf("nothing has been changed yet:\n%w", err)
	}
	return nil
}

// join takes a host that was reached among the members.
func (c *Cluster) join(r host.Report) *member {
	m := &member{facts: r.Facts, host: r.Host, index: len(c.members)}
	m.Conn, m.Dir = r.Conn, c.dir()
	c.members = append(c.members, m)
	return m
}

// needs is what a host has to offer. On one of the cluster's own hosts the ports are in use by the cluster itself.
func (p *preflight) needs(h host.Host, own bool) host.Needs {
	needs := host.Needs{
		Architecture: p.Artifact.Description.Platform.Architecture,
		MaxClockSkew: 5 * time.Minute,
		Systemd:      true,
		NoSwap:       true,
		Commands:     hostCommands,
		CPUs:         1,
		MemoryBytes:  1 << 30,
	}
	if h.Role == host.RoleMaster {
		needs.CPUs, needs.MemoryBytes = 2, 1700<<20 // kubeadm's own minimum for a control plane
	}
	if own {
		return needs
	}
	needs.NoCluster = true
	needs.Ports = append(nodePorts[:1:1], p.Registry.port())
	// Layers as shipped, unpacked about three times as large, and 2 GiB for what runs.
	for _, layer := range p.Artifact.RootfsLayers {
		needs.FreeBytes += 4 * uint64(layer.Descriptor.Size)
	}
	if h.Role == host.RoleMaster {
		needs.Ports = append(needs.Ports, masterPorts...)
		for _, layer := range p.Artifact.ImageLayers {
			needs.FreeBytes += 2 * uint64(layer.Descriptor.Size)
		}
	}
	needs.FreeBytes += 2 << 30
	return needs
}
