package phase

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// hostsFile gives every host the names of the cluster: its hosts, the API's endpoint and the registry.
type hostsFile struct{ *Cluster }

func (*hostsFile) Title() string { return "Name the hosts" }

const hostsPath = "/etc/hosts"

func (p *hostsFile) Run(ctx context.Context) error {
	return p.each(ctx, p.members, func(ctx context.Context, m *member) error {
		old, err := m.ask(ctx, "cat", hostsPath)
		if err != nil {
			return err
		}
		text, err := withBlock(string(old), p.Name, p.names(m))
		if err != nil {
			return fmt.Errorf("%s: %s: %w", m, hostsPath, err)
		}
		if text == string(old) {
			return nil
		}
		return p.Do(ctx, m, "write the cluster's names to "+hostsPath, func(ctx context.Context) error {
			_, err := m.WriteFile(ctx, hostsPath, 0o644, []byte(text))
			return err
		})
	})
}

// names are the lines for one host.
func (c *Cluster) names(m *member) []string {
	var lines []string
	for _, address := range c.endpoints(m) {
		lines = append(lines, address+" "+endpointName)
	}
	lines = append(lines, "127.0.0.1 "+c.Registry.domain())
	for _, alias := range c.Site.Cluster.Aliases {
		lines = append(lines, alias.Address.String()+" "+strings.Join(alias.Names, " "))
	}
	names := []string{}
	for _, other := range c.members {
		names = append(names, other.String()+" "+other.name)
	}
	for _, other := range c.others() {
		names = append(names, other.Address.String()+" "+other.Name)
	}
	slices.Sort(names)
	return append(lines, names...)
}

// endpoints are where a host finds the API, in order. A node has a load balancer of its own. A master is its own endpoint and needs no
// other; those that come after it are for the time before it has joined, when nothing listens there. They stay, because kube-proxy and
// network plugins start in that time and keep the hosts file that they started with.
func (c *Cluster) endpoints(m *member) []string {
	if !m.isMaster() {
		return []string{balancerAddress}
	}
	addresses := []string{m.String()}
	for _, address := range c.masterAddresses() {
		if address != m.host.Address {
			addresses = append(addresses, address.String())
		}
	}
	return addresses
}

// withBlock returns the hosts file with the cluster's lines between two marks, in the place where they were or at the end.
func withBlock(content, cluster string, lines []string) (string, error) {
	begin, end := "# begin kubefile cluster "+cluster+"\n", "# end kubefile cluster "+cluster+"\n"
	block := begin + strings.Join(lines, "\n") + "\n" + end
	if content != "" && !strings.HasSuffix(content, "\n") {
		content += "\n"
	}
	before, rest, found := strings.Cut(content, begin)
	if !found {
		return content + block, nil
	}
	_, after, found := strings.Cut(rest, end)
	if !found {
		return "", fmt.Errorf("the line %q has no line %q after it: restore it, or remove the former", strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return before + block + after, nil
}
