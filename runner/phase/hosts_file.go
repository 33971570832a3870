package phase

import (
	"bytes"
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
		old, content, err := p.hostsContent(ctx, m)
		if err != nil || bytes.Equal(old, content) {
			return err
		}
		return p.Do(ctx, m, "write the cluster's names to "+hostsPath, func(ctx context.Context) error {
			_, err := m.WriteFile(ctx, hostsPath, 0o644, content)
			return err
		})
	})
}

// hostsContent is the hosts file that a host has, and the one that it is to have.
func (c *Cluster) hostsContent(ctx context.Context, m *member) (old, content []byte, err error) {
	if old, err = m.ask(ctx, "cat", hostsPath); err != nil {
		return nil, nil, err
	}
	text, err := withBlock(string(old), c.Name, c.names(m))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %s: %w", m, hostsPath, err)
	}
	return old, []byte(text), nil
}

// names are the lines for one host. A master is its own endpoint once it is one, and asks the first until then; the nodes have a
// load balancer of their own.
func (c *Cluster) names(m *member) []string {
	api := c.first().String()
	switch {
	case m.joined && m.isMaster():
		api = m.String()
	case !m.isMaster():
		api = balancerAddress
	}
	lines := []string{api + " " + endpointName, "127.0.0.1 " + c.Registry.domain()}
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
