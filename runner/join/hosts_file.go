package join

import (
	"context"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/store"
)

// HostsFile gives every host the names of the cluster: its hosts, the API's endpoint and the registry.
type HostsFile struct {
	*execute.Session
	*store.Store
	// Domain is the name of the registry.
	Domain string
	// Site has the aliases of other hosts.
	Site *clusterfile.Clusterfile
}

// Title says what the phase does, for a person.
func (*HostsFile) Title() string { return "Update /etc/hosts" }

// Run writes them on all hosts of the run.
func (p *HostsFile) Run(ctx context.Context) error {
	return p.Each(ctx, p.Members, func(ctx context.Context, m *execute.Member) error {
		old, err := m.Cat(ctx, execute.HostsFile)
		if err != nil {
			return err
		}
		// Marks that are not complete the agent puts right, or refuses: it knows which lines it wrote.
		if text, err := hostrecord.WithBlock(string(old), p.Name, p.Lines(m)); err == nil && text == string(old) {
			return nil
		}
		return p.Do(ctx, m, "write the cluster's names to "+execute.HostsFile, func(ctx context.Context) error {
			_, err := m.WriteBlock(ctx, execute.HostsFile, p.Name, p.Lines(m))
			return err
		})
	})
}

// Lines are those for one host.
func (p *HostsFile) Lines(m *execute.Member) []string {
	var lines []string
	for _, address := range p.endpoints(m) {
		lines = append(lines, address+" "+execute.EndpointName)
	}
	lines = append(lines, "127.0.0.1 "+p.Domain)
	for _, alias := range p.Site.Cluster.Aliases {
		lines = append(lines, alias.Address.String()+" "+strings.Join(alias.Names, " "))
	}
	names := []string{}
	for _, other := range p.Members {
		names = append(names, other.String()+" "+other.Name)
	}
	for _, other := range p.Staying(p.Session) {
		names = append(names, other.Address.String()+" "+other.Name)
	}
	slices.Sort(names)
	return append(lines, names...)
}

// endpoints are where a host finds the API, in order. A node has a load balancer of its own. A master is its own endpoint and needs no
// other; those that come after it are for the time before it has joined, when nothing listens there. They stay, because kube-proxy and
// network plugins start in that time and keep the hosts file that they started with.
func (p *HostsFile) endpoints(m *execute.Member) []string {
	if !m.IsMaster() {
		return []string{proxyAddress}
	}
	addresses := []string{m.String()}
	for _, address := range p.MasterAddresses(p.Session) {
		if address != m.Host.Address {
			addresses = append(addresses, address.String())
		}
	}
	return addresses
}
