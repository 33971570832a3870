package phase

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/plugin"
)

// node is what the site can change of a Node of the cluster (Kubernetes API, core/v1).
type node struct {
	Metadata struct {
		Name            string            `json:"name"`
		Labels          map[string]string `json:"labels"`
		ResourceVersion string            `json:"resourceVersion"`
	} `json:"metadata"`
	Spec struct {
		Taints []taint `json:"taints"`
	} `json:"spec"`
	Status struct {
		Addresses  []nodeAddress `json:"addresses"`
		Conditions []condition   `json:"conditions"`
	} `json:"status"`
}

type nodeAddress struct {
	Type    string `json:"type"`
	Address string `json:"address"`
}

type taint struct {
	Key       string `json:"key"`
	Value     string `json:"value,omitempty"`
	Effect    string `json:"effect"`
	TimeAdded string `json:"timeAdded,omitempty"`
}

type condition struct {
	Type   string `json:"type"`
	Status string `json:"status"`
}

func (n node) ready() bool { return slices.Contains(n.Status.Conditions, condition{"Ready", "True"}) }

// nodesQuery prints of each node what is decided by. The whole object of one has tens of KB, most of it names of images that its kubelet has.
// kubectl prints maps and lists as JSON.
const nodesQuery = `jsonpath={range .items[*]}{.metadata.resourceVersion}{"\t"}{.metadata.name}{"\t"}{.metadata.labels}{"\t"}{.spec.taints}{"\t"}` +
	`{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}`

// nodesByName are the nodes of the cluster, with labels, taints and whether they are ready.
func (c *Cluster) nodesByName(ctx context.Context) (map[string]node, error) {
	rows, err := c.rows(ctx, 5, "get", "nodes", "-o", nodesQuery)
	if err != nil {
		return nil, err
	}
	nodes := map[string]node{}
	for _, row := range rows {
		var n node
		n.Metadata.ResourceVersion, n.Metadata.Name = row[0], row[1]
		if err := errors.Join(decodeColumn(row[2], &n.Metadata.Labels), decodeColumn(row[3], &n.Spec.Taints)); err != nil {
			return nil, fmt.Errorf("reading the list of nodes: %s: %w", n.Metadata.Name, err)
		}
		n.Status.Conditions = []condition{{"Ready", strings.TrimSpace(row[4])}}
		nodes[n.Metadata.Name] = n
	}
	return nodes, nil
}

// decodeColumn reads what kubectl prints of a map or a list; nothing when there is none.
func decodeColumn(text string, into any) error {
	if text == "" {
		return nil
	}
	return json.Unmarshal([]byte(text), into)
}

// withLabels returns the labels after the changes.
func (n node) withLabels(changes []plugin.LabelChange) map[string]string {
	labels := maps.Clone(n.Metadata.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	for _, c := range changes {
		if c.Remove {
			delete(labels, c.Key)
		} else {
			labels[c.Key] = c.Value
		}
	}
	return labels
}

// withTaints returns the taints after the changes. There is one taint for a key and an effect.
func (n node) withTaints(changes []plugin.TaintChange) []taint {
	taints := slices.Clone(n.Spec.Taints)
	for _, c := range changes {
		same := func(t taint) bool { return t.Key == c.Key && (t.Effect == c.Effect || c.Effect == "") }
		at := slices.IndexFunc(taints, same)
		switch {
		case c.Remove:
			taints = slices.DeleteFunc(taints, same)
		case at < 0:
			taints = append(taints, taint{Key: c.Key, Value: c.Value, Effect: c.Effect})
		case taints[at].Value != c.Value:
			taints[at] = taint{Key: c.Key, Value: c.Value, Effect: c.Effect}
		}
	}
	return taints
}

// changeTries is how often a node is read and changed again when somebody else, as its kubelet, changes it at the same time.
const changeTries = 5

// changeNode changes the labels and taints of a host's node, if they are not so already. known is the node as it was read a moment ago, or
// nil.
func (c *Cluster) changeNode(ctx context.Context, m *member, known *node, labels []plugin.LabelChange, taints []plugin.TaintChange) error {
	for try := 1; ; try++ {
		if known == nil {
			var err error
			if known, err = c.nodeNamed(ctx, m.name); err != nil {
				return err
			}
		}
		if known == nil {
			return fmt.Errorf("the cluster has no node %s", m.name)
		}
		err := c.patchNode(ctx, *known, labels, taints)
		var exit *host.ExitError
		if !errors.As(err, &exit) || !strings.Contains(exit.Stderr, conflict) || try == changeTries {
			return err
		}
		known = nil
	}
}

// conflict is what kubectl says of HTTP status 409 for a resourceVersion that is not the newest.
const conflict = "the object has been modified"

// patchNode sends what differs. Of taints all are sent, and the version of the node that was read goes with them: whoever changes them at
// the same time is not overwritten.
func (c *Cluster) patchNode(ctx context.Context, n node, labels []plugin.LabelChange, taints []plugin.TaintChange) error {
	metadata, patch := map[string]any{}, map[string]any{}
	if now := n.withLabels(labels); !maps.Equal(now, n.Metadata.Labels) {
		changed := map[string]any{}
		for _, change := range labels {
			changed[change.Key] = change.Value
			if change.Remove {
				changed[change.Key] = nil
			}
		}
		metadata["labels"] = changed
	}
	if now := n.withTaints(taints); !slices.Equal(now, n.Spec.Taints) {
		patch["spec"] = map[string]any{"taints": now}
		metadata["resourceVersion"] = n.Metadata.ResourceVersion
	}
	if len(metadata) == 0 {
		return nil
	}
	patch["metadata"] = metadata
	text, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	_, err = c.kubectl(ctx, "patch", "node", n.Metadata.Name, "--type", "merge", "--patch", string(text))
	return err
}
