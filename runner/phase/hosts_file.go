package phase

import (
	"context"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/agent"
	"github.com/kubefile/kubefile/runner/execute"
)

// hostsFile gives every host the names of the cluster: its hosts, the API's endpoint and the registry.
type hostsFile struct{ *Cluster }

func (*hostsFile) Title() string { return "Update /etc/hosts" }

const hostsPath = "/etc/hosts"

func (p *hostsFile) Run(ctx context.Context) error {
	return p.Each(ctx, p.Members, func(ctx context.Context, m *execute.Member) error {
		old, err := m.Cat(ctx, hostsPath)
		if err != nil {
			return err
		}
		// Marks that are not complete the agent puts right, or refuses: it knows which lines it wrote.
		if text, err := agent.WithBlock(string(old), p.Name, p.names(m)); err == nil && text == string(old) {
			return nil
		}
		return p.Do(ctx, m, "write the cluster's names to "+hostsPath, func(ctx context.Context) error {
			_, err := m.WriteBlock(ctx, hostsPath, p.Name, p.names(m))
			return err
		})
	})
}

// names are the lines for one host.
func (c *Cluster) names(m *execute.Member) []string {
	var lines []string
	for _, address := range c.endpoints(m) {
		lines = append(lines, address+" "+endpointName)
	}
	lines = append(lines, "127.0.0.1 "+c.Registry.WithDefaults().Domain)
	for _, alias := range c.Site.Cluster.Aliases {
		lines = append(lines, alias.Address.String()+" "+strings.Join(alias.Names, " "))
	}
	names := []string{}
	for _, other := range c.Members {
		names = append(names, other.String()+" "+other.Name)
	}
	for _, other := range c.staying() {
		names = append(names, other.Address.String()+" "+other.Name)
	}
	slices.Sort(names)
	return append(lines, names...)
}

// endpoints are where a host finds the API, in order. A node has a load balancer of its own. A master is its own endpoint and needs no
// other; those that come after it are for the time before it has joined, when nothing listens there. They stay, because kube-proxy and
// network plugins start in that time and keep the hosts file that they started with.
func (c *Cluster) endpoints(m *execute.Member) []string {
	if !m.IsMaster() {
		return []string{balancerAddress}
	}
	addresses := []string{m.String()}
	for _, address := range c.masterAddresses() {
		if address != m.Host.Address {
			addresses = append(addresses, address.String())
		}
	}
	return addresses
}
