package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/plugin"
)

// Node is what a site decides by, and can change, of a Node (core/v1).
type Node struct {
	Metadata NodeMetadata `json:"metadata"`
	Spec     NodeSpec     `json:"spec"`
	Status   NodeStatus   `json:"status"`
}

// NodeMetadata is the name of a node, its labels, and the version of the object.
type NodeMetadata struct {
	Name            string            `json:"name"`
	Labels          map[string]string `json:"labels"`
	ResourceVersion string            `json:"resourceVersion"`
}

// NodeSpec says which pods may come to a node.
type NodeSpec struct {
	Taints []Taint `json:"taints"`
	// Unschedulable keeps all new pods off it, as after a drain.
	Unschedulable bool `json:"unschedulable"`
}

// NodeStatus is what the kubelet says of itself.
type NodeStatus struct {
	Addresses  []NodeAddress   `json:"addresses"`
	Conditions []NodeCondition `json:"conditions"`
	NodeInfo   NodeInfo        `json:"nodeInfo"`
}

// NodeInfo has versions of the node's programs.
type NodeInfo struct {
	KubeletVersion string `json:"kubeletVersion"`
}

// NodeAddress is an address of a node, of a type such as InternalIP.
type NodeAddress struct {
	Type    string `json:"type"`
	Address string `json:"address"`
}

// Taint keeps pods off a node.
type Taint struct {
	Key       string `json:"key"`
	Value     string `json:"value,omitempty"`
	Effect    string `json:"effect"`
	TimeAdded string `json:"timeAdded,omitempty"`
}

// NodeCondition is a condition such as Ready: True, False or Unknown.
type NodeCondition struct {
	Type   string `json:"type"`
	Status string `json:"status"`
}

// Ready reports whether the node's kubelet says that it is.
func (n Node) Ready() bool {
	return slices.Contains(n.Status.Conditions, NodeCondition{"Ready", "True"})
}

// Addresses are the internal addresses of the node, by its own account. What is none is left out.
func (n Node) Addresses() (addresses []netip.Addr) {
	for _, a := range n.Status.Addresses {
		if address, err := netip.ParseAddr(a.Address); err == nil && a.Type == internalIPType {
			addresses = append(addresses, address)
		}
	}
	return addresses
}

// Address is where the node is, by its own account, for a person.
func (n Node) Address() string {
	for _, a := range n.Addresses() {
		return a.String()
	}
	return "an unknown address"
}

// What kubectl takes a node's roles from.
const (
	roleLabel = "kubernetes.io/role"
	// RoleLabel begins the labels of roles, and ControlPlaneLabel is that of masters.
	RoleLabel         = "node-role.kubernetes.io/"
	ControlPlaneLabel = RoleLabel + "control-plane"
	internalIPType    = "InternalIP"
)

// Roles returns the roles of the node, sorted, as kubectl lists them.
func (n Node) Roles() []string {
	roles := []string{}
	for key, value := range n.Metadata.Labels {
		switch role, prefixed := strings.CutPrefix(key, RoleLabel); {
		case prefixed && role != "":
			roles = append(roles, role)
		case key == roleLabel && value != "":
			roles = append(roles, value)
		}
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}

// nodesQuery prints of each node what is decided by. The whole object of one has tens of KB, most of it names of images that its kubelet has.
// kubectl prints maps and lists as JSON.
const nodesQuery = `jsonpath={range .items[*]}{.metadata.resourceVersion}{"\t"}{.metadata.name}{"\t"}{.metadata.labels}{"\t"}{.spec.taints}{"\t"}` +
	`{.status.conditions[?(@.type=="Ready")].status}{"\t"}{.status.nodeInfo.kubeletVersion}{"\t"}` +
	`{.status.addresses[?(@.type=="InternalIP")].address}{"\n"}{end}`

// Nodes are the nodes of the cluster by name, with labels, taints, internal addresses, the kubelet's version and whether they are ready.
func (k Kubectl) Nodes(ctx context.Context) (map[string]Node, error) {
	rows, err := k.Rows(ctx, 7, "get", "nodes", "-o", nodesQuery)
	if err != nil {
		return nil, err
	}
	nodes := map[string]Node{}
	for _, row := range rows {
		n := Node{Metadata: NodeMetadata{ResourceVersion: row[0], Name: row[1]}}
		if err := errors.Join(decodeColumn(row[2], &n.Metadata.Labels), decodeColumn(row[3], &n.Spec.Taints)); err != nil {
			return nil, fmt.Errorf("reading the list of nodes: %s: %w", n.Metadata.Name, err)
		}
		n.Status.Conditions = []NodeCondition{{"Ready", row[4]}}
		n.Status.NodeInfo.KubeletVersion = row[5]
		for address := range strings.FieldsSeq(row[6]) {
			n.Status.Addresses = append(n.Status.Addresses, NodeAddress{Type: internalIPType, Address: address})
		}
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

// Node is a node of the cluster, or nil.
func (k Kubectl) Node(ctx context.Context, name string) (*Node, error) {
	out, err := k(ctx, nil, "get", "node", name, "-o", "json", "--ignore-not-found")
	if err != nil || len(bytes.TrimSpace(out)) == 0 {
		return nil, err
	}
	var n Node
	if err := json.Unmarshal(out, &n); err != nil {
		return nil, fmt.Errorf("reading the node %s: %w", name, err)
	}
	return &n, nil
}

// HasNode reports whether the API answers within a time, in seconds, and has the node.
func (k Kubectl) HasNode(ctx context.Context, name string, seconds int) (bool, error) {
	out, err := k(ctx, nil, "get", "node", name, "-o", "name", "--ignore-not-found", fmt.Sprintf("--request-timeout=%ds", seconds))
	return err == nil && len(bytes.TrimSpace(out)) > 0, err
}

// WithLabels returns the labels of the node after changes.
func (n Node) WithLabels(changes []plugin.LabelChange) map[string]string {
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

// WithTaints returns the taints of the node after changes. There is one taint for a key and an effect.
func (n Node) WithTaints(changes []plugin.TaintChange) []Taint {
	taints := slices.Clone(n.Spec.Taints)
	for _, c := range changes {
		same := func(t Taint) bool { return t.Key == c.Key && (t.Effect == c.Effect || c.Effect == "") }
		at := slices.IndexFunc(taints, same)
		switch {
		case c.Remove:
			taints = slices.DeleteFunc(taints, same)
		case at < 0:
			taints = append(taints, Taint{Key: c.Key, Value: c.Value, Effect: c.Effect})
		case taints[at].Value != c.Value:
			taints[at] = Taint{Key: c.Key, Value: c.Value, Effect: c.Effect}
		}
	}
	return taints
}

// changeTries is how often a node is read and changed again when someone else, such as its kubelet, changes it at the same time.
const changeTries = 5

// ChangeNode changes the labels and taints of a node, if they are not so already. known is the node as it was read a moment ago, or nil.
func (k Kubectl) ChangeNode(ctx context.Context, name string, known *Node, labels []plugin.LabelChange, taints []plugin.TaintChange) error {
	for try := 1; ; try++ {
		if known == nil {
			var err error
			if known, err = k.Node(ctx, name); err != nil {
				return err
			}
		}
		if known == nil {
			return fmt.Errorf("the cluster has no node %s", name)
		}
		err := k.patch(ctx, *known, labels, taints)
		if !changed(err) || try == changeTries {
			return err
		}
		known = nil
	}
}

// patch sends what differs. Of taints all are sent, and the version of the node that was read goes with them: whoever changes them at the same
// time is not overwritten.
func (k Kubectl) patch(ctx context.Context, n Node, labels []plugin.LabelChange, taints []plugin.TaintChange) error {
	metadata, patch := map[string]any{}, map[string]any{}
	if now := n.WithLabels(labels); !maps.Equal(now, n.Metadata.Labels) {
		different := map[string]any{}
		for _, change := range labels {
			different[change.Key] = change.Value
			if change.Remove {
				different[change.Key] = nil
			}
		}
		metadata["labels"] = different
	}
	if now := n.WithTaints(taints); !slices.Equal(now, n.Spec.Taints) {
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
	_, err = k(ctx, nil, "patch", "node", n.Metadata.Name, "--type", "merge", "--patch", string(text))
	return err
}
