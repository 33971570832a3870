package phase

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/imagespec"
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
	if status.Served, err = c.recorded(ctx, registryproxy.ServedFile); err != nil {
		return nil, err
	}
	status.Missed, err = c.recorded(ctx, registryproxy.MissedFile)
	return status, err
}

// recorded are the references that the registries of all hosts noted in a file, sorted.
func (c *Cluster) recorded(ctx context.Context, name string) ([]string, error) {
	noted := make([][]registryproxy.Record, len(c.members))
	err := c.each(ctx, c.members, func(ctx context.Context, m *member) error {
		out, err := m.ask(ctx, "sh", "-c", `cat "$1" 2>/dev/null || :`, "sh", m.path("records", name))
		if err != nil {
			return err
		}
		if noted[m.index], err = registryproxy.ReadRecords(bytes.NewReader(out)); err != nil {
			return fmt.Errorf("%s: reading %s: %w", m, name, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var references []string
	for _, record := range slices.Concat(noted...) {
		references = append(references, record.Reference)
	}
	return distinct(references), nil
}

// Use is an image that pods of a running cluster name.
type Use struct {
	Reference string `json:"reference"` // in full form
	Pods      int    `json:"pods"`      // containers of pods, finished ones too
	Embedded  bool   `json:"embedded"`  // in the lock that it was compared with
}

// Used lists the images that the pods of a running cluster name, sorted, against a lock. unused are the references of the lock that no pod
// names now: jobs that are gone, and what operators have not started yet, are among them. It changes nothing.
func Used(ctx context.Context, c *Cluster, lock *imagespec.Lock) (used []Use, unused []string, err error) {
	if err := (&reach{c}).Run(ctx); err != nil {
		return nil, nil, err
	}
	if len(c.masters()) == 0 {
		return nil, nil, fmt.Errorf("no master of the cluster %s answers: name one with -m", c.Name)
	}
	query := ""
	for _, list := range []string{"initContainers", "containers", "ephemeralContainers"} {
		query += `{range .items[*].spec.` + list + `[*]}{.image}{"\n"}{end}`
	}
	out, err := c.kubectl(ctx, "get", "pods", "--all-namespaces", "-o", "jsonpath="+query)
	if err != nil {
		return nil, nil, err
	}
	count := map[string]int{}
	for written := range strings.FieldsSeq(string(out)) {
		if ref, err := imagespec.ParseReference(written); err == nil {
			written = ref.String()
		}
		count[written]++
	}
	for _, reference := range slices.Sorted(maps.Keys(count)) {
		_, embedded := lock.Lookup(reference)
		used = append(used, Use{Reference: reference, Pods: count[reference], Embedded: embedded})
	}
	for _, image := range lock.Images {
		if count[image.Reference] == 0 {
			unused = append(unused, image.Reference)
		}
	}
	return used, unused, nil
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
