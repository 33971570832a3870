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
	nodePorts   = []uint16{10250, 6443, 2379, 2380} // an etcd on a node is somebody else's
	masterPorts = []uint16{10257, 10259}
)

// hostCommands are what scripts, kubeadm, the kubelet and the phases call.
var hostCommands = []string{"iptables", "mount", "conntrack", "flock", "sha256sum"}

func (p *preflight) Run(ctx context.Context) error {
	reports := host.Connect(ctx, p.Dialer, p.logins(), p.DataRoot)
	for _, r := range reports {
		if r.Err == nil {
			p.join(r)
		}
	}
	if err := p.each(ctx, p.members, func(ctx context.Context, m *member) error { return m.look(ctx) }); err != nil {
		return err
	}
	for i := range reports {
		p.rename(&reports[i])
	}
	problems := host.Preflight(reports, func(h host.Host) host.Needs { return p.needs(p.member(h.String())) })
	problems = append(problems, p.strange()...)
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

// rename gives a report the name that a plugin gives the host: machines that were cloned have one name until then.
func (p *preflight) rename(r *host.Report) {
	m := p.member(r.Host.String())
	if r.Err != nil || m == nil {
		return
	}
	if name := p.given(m); name != "" {
		facts := *r.Facts
		facts.Hostname = name
		r.Facts = &facts
	}
}

// join takes a host that was reached among the members.
func (c *Cluster) join(r host.Report) *member {
	m := &member{facts: r.Facts, host: r.Host, index: len(c.members)}
	m.Client = agent.Client{Conn: r.Conn, Dir: c.dir()}
	m.image = agent.Client{Conn: r.Conn, Dir: c.imageDir()}
	for _, h := range c.Hosts {
		if h.Login.Address == r.Host.Address {
			m.site = h.Site
		}
	}
	c.members = append(c.members, m)
	return m
}

// logins are all hosts as they are reached.
func (c *Cluster) logins() []host.Host {
	var logins []host.Host
	for _, h := range c.Hosts {
		logins = append(logins, h.Login)
	}
	return logins
}

// addresses are those of all hosts that were reached, and of those that the cluster knows beside them.
func (c *Cluster) addresses() []netip.Addr {
	var all []netip.Addr
	for _, m := range c.members {
		all = append(all, m.host.Address)
	}
	for _, other := range c.others() {
		all = append(all, other.Address)
	}
	return all
}

// strange are hosts on which the cluster's directory is, and is not ours: everything in it would be lost one day.
func (p *preflight) strange() (problems host.Problems) {
	for _, m := range p.members {
		if m.strange {
			problems = append(problems, host.Problem{
				Host: m.String(), What: m.Dir + " is not empty and was not created by sealer-run",
				Mend: "move it, or choose another directory (--data-root, or spec.dataRoot in a Clusterfile)",
			})
		}
	}
	return problems
}

// needs is what a host has to offer. On one of the cluster's own hosts the ports are in use by the cluster itself.
func (p *preflight) needs(m *member) host.Needs {
	needs := host.Needs{
		Architecture: p.Artifact.Description.Platform.Architecture,
		MaxClockSkew: 5 * time.Minute,
		Systemd:      true,
		NoSwap:       true,
		Commands:     hostCommands,
		CPUs:         1,
		MemoryBytes:  1 << 30,
		ClusterDir:   p.dir(),
	}
	if m == nil { // was not reached
		return needs
	}
	if m.isMaster() {
		needs.CPUs, needs.MemoryBytes = 2, 1700<<20 // kubeadm's own minimum for a control plane
	}
	// What kubeadm makes is ours only once it has begun.
	begun := m.begun() || m.marker != ""
	needs.NoCluster, needs.NoEtcd, needs.NoContainerd = !begun && m.isNew, !begun, m.isNew
	if !m.isNew {
		return needs
	}
	needs.Ports = append([]uint16{p.Registry.port()}, nodePorts...)
	// Layers as shipped, unpacked about three times as large, and 2 GiB for what runs.
	for _, layer := range p.Artifact.RootfsLayers {
		needs.FreeBytes += 4 * uint64(layer.Descriptor.Size)
	}
	if m.isMaster() {
		needs.Ports = append(needs.Ports, masterPorts...)
		for _, layer := range p.Artifact.ImageLayers {
			needs.FreeBytes += 2 * uint64(layer.Descriptor.Size)
		}
	}
	needs.FreeBytes += 2 << 30
	return needs
}
