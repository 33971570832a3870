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
		content, err := withBlock(string(old), p.Name, p.names(m))
		if err != nil {
			return fmt.Errorf("%s: %s: %w", m, hostsPath, err)
		}
		if content == string(old) {
			return nil
		}
		return p.Do(ctx, m, "write the cluster's names to "+hostsPath, func(ctx context.Context) error {
			_, err := m.WriteFile(ctx, hostsPath, 0o644, []byte(content))
			return err
		})
	})
}

// names are the lines for one host. A master is its own endpoint; the others reach the first master.
func (p *hostsFile) names(m *member) []string {
	api := p.first()
	if m.isMaster() {
		api = m
	}
	lines := []string{api.String() + " " + endpointName, "127.0.0.1 " + p.Registry.domain()}
	names := []string{}
	for _, other := range p.members {
		names = append(names, other.String()+" "+other.name())
	}
	for _, other := range p.others() {
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
