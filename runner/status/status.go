// Package status shows a running cluster: its nodes, the images that it uses, its kubeconfig, and the configuration that kubeadm is given. It changes
// nothing.
package status

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/registryproxy"
	"github.com/kubefile/kubefile/runner/ask"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/kube"
	"github.com/kubefile/kubefile/runner/store"
)

// version changes when what reads a status as JSON has to change.
const version = 1

// Status is what a running cluster says of itself. Its lists are empty, and never nil.
type Status struct {
	Version int          `json:"version"`
	Cluster string       `json:"cluster"`
	Nodes   []NodeStatus `json:"nodes"`  // sorted by name
	Served  []string     `json:"served"` // references that the embedded registry served, sorted
	Missed  []string     `json:"missed"` // references that were asked for and are not in the artifact, sorted
	// Table has the nodes as kubectl prints them for people.
	Table string `json:"-"`
}

// NodeStatus is a node of a running cluster.
type NodeStatus struct {
	Name    string   `json:"name"`
	Ready   bool     `json:"ready"`
	Roles   []string `json:"roles"`   // sorted
	Version string   `json:"version"` // of its kubelet
	Address string   `json:"address"` // the first internal one; empty until its kubelet has reported one
}

// Look asks how the cluster is whose hosts were reached, and its state read.
func Look(ctx context.Context, s *execute.Session, t *store.Store) (*Status, error) {
	status := &Status{Version: version, Cluster: s.Name}
	err := ask.Masters(ctx, s, t, func(ctx context.Context, m *execute.Member) error {
		nodes, err := ask.API(m).Nodes(ctx)
		if err != nil {
			return err
		}
		status.Nodes = nodeStatuses(nodes)
		table, err := ask.API(m)(ctx, nil, "get", "nodes", "-o", "wide")
		status.Table = string(table)
		return err
	})
	if err != nil {
		return nil, err
	}
	if status.Served, err = Recorded(ctx, s, registryproxy.ServedFile); err != nil {
		return nil, err
	}
	status.Missed, err = Recorded(ctx, s, registryproxy.MissedFile)
	return status, err
}

func nodeStatuses(nodes map[string]kube.Node) []NodeStatus {
	statuses := []NodeStatus{}
	for _, name := range slices.Sorted(maps.Keys(nodes)) {
		n := nodes[name]
		one := NodeStatus{Name: name, Ready: n.Ready(), Roles: n.Roles(), Version: n.Status.NodeInfo.KubeletVersion}
		if addresses := n.Addresses(); len(addresses) > 0 {
			one.Address = addresses[0].String()
		}
		statuses = append(statuses, one)
	}
	return statuses
}

// Recorded are the references that the registries of all hosts noted in a file, sorted.
func Recorded(ctx context.Context, s *execute.Session, name string) ([]string, error) {
	noted := make([][]registryproxy.Record, len(s.Members))
	err := s.Each(ctx, s.Members, func(ctx context.Context, m *execute.Member) error {
		out, err := m.Ask(ctx, "sh", "-c", `cat "$1" 2>/dev/null || :`, "sh", m.Path("records", name))
		if err != nil {
			return err
		}
		if noted[m.Index], err = registryproxy.ReadRecords(bytes.NewReader(out)); err != nil {
			return fmt.Errorf("%s: reading %s: %w", m, name, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	references := []string{}
	for _, record := range slices.Concat(noted...) {
		references = append(references, record.Reference)
	}
	return distinct(references), nil
}

func distinct(values []string) []string {
	slices.Sort(values)
	return slices.Compact(values)
}

// Kubeconfig writes the administrator's kubeconfig with a master's address in place of the name that only hosts of the cluster know. It is a
// secret.
func Kubeconfig(ctx context.Context, s *execute.Session, t *store.Store, w io.Writer) error {
	config := ""
	err := ask.Masters(ctx, s, t, func(ctx context.Context, m *execute.Member) error {
		text, err := m.Ask(ctx, "cat", execute.AdminConfig)
		config = strings.ReplaceAll(string(text), "https://"+execute.Endpoint, "https://"+net.JoinHostPort(m.String(), execute.APIPort))
		return err
	})
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, config)
	return err
}
