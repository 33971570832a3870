package phase

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/registryproxy"
)

// Status is what a running cluster says of itself.
type Status struct {
	Nodes  string   `json:"nodes"`  // as kubectl prints them
	Served []string `json:"served"` // references that the embedded registry served, sorted
	Missed []string `json:"missed"` // references that were asked for and are not in the artifact, sorted
}

// Look reaches the hosts and asks how the cluster is. It changes nothing.
func Look(ctx context.Context, c *Cluster) (*Status, error) {
	if err := (&reach{c}).Run(ctx); err != nil {
		return nil, err
	}
	if len(c.masters()) == 0 {
		return nil, fmt.Errorf("no master of the cluster %s answers: name one with -m", c.Name)
	}
	nodes, err := c.kubectl(ctx, "get", "nodes", "-o", "wide")
	if err != nil {
		return nil, err
	}
	status := &Status{Nodes: string(nodes)}
	for _, m := range c.members {
		for name, into := range map[string]*[]string{registryproxy.ServedFile: &status.Served, registryproxy.MissedFile: &status.Missed} {
			out, err := m.ask(ctx, "sh", "-c", `cat "$1" 2>/dev/null || :`, "sh", m.path("records", name))
			if err != nil {
				return nil, err
			}
			records, err := registryproxy.ReadRecords(bytes.NewReader(out))
			if err != nil {
				return nil, fmt.Errorf("%s: reading %s: %w", m, name, err)
			}
			for _, record := range records {
				*into = append(*into, record.Reference)
			}
		}
	}
	status.Served, status.Missed = distinct(status.Served), distinct(status.Missed)
	return status, nil
}

func distinct(values []string) []string {
	slices.Sort(values)
	return slices.Compact(values)
}

// Kubeconfig writes the administrator's kubeconfig with the first master's address in place of the name that only hosts of the cluster
// know. It is a secret.
func Kubeconfig(ctx context.Context, c *Cluster, w io.Writer) error {
	if err := (&reach{c}).Run(ctx); err != nil {
		return err
	}
	if len(c.masters()) == 0 {
		return fmt.Errorf("no master of the cluster %s answers: name one with -m", c.Name)
	}
	m := c.first()
	config, err := m.ask(ctx, "cat", adminConfig)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, strings.ReplaceAll(string(config), "https://"+endpoint, "https://"+net.JoinHostPort(m.String(), "6443")))
	return err
}
