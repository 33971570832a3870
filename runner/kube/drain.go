package kube

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Pod is a pod on a node, as far as a drain decides by it.
type Pod struct {
	Namespace string
	Name      string
	Phase     string
	Owners    string // their kinds
	Static    bool   // its kubelet runs it from a file
}

// String names the pod for a person.
func (p Pod) String() string { return p.Namespace + "/" + p.Name }

// Alone reports whether nothing would start the pod elsewhere: it has no controller, and has not ended.
func (p Pod) Alone() bool { return p.Owners == "" && !p.Static && !p.ended() }

// Evictable reports whether a drain evicts the pod.
func (p Pod) Evictable() bool {
	return !p.Static && !p.ended() && !slices.Contains(strings.Fields(p.Owners), "DaemonSet")
}

func (p Pod) ended() bool { return p.Phase == "Succeeded" || p.Phase == "Failed" }

const podsQuery = `jsonpath={range .items[*]}{.metadata.namespace}{"\t"}{.metadata.name}{"\t"}{.status.phase}{"\t"}{.metadata.ownerReferences[*].kind}{"\t"}` +
	`{.metadata.annotations.kubernetes\.io/config\.mirror}{"\n"}{end}`

// PodsOn are the pods on a node.
func (k Kubectl) PodsOn(ctx context.Context, node string) ([]Pod, error) {
	rows, err := k.Rows(ctx, 5, "get", "pods", "--all-namespaces", "--field-selector", "spec.nodeName="+node, "-o", podsQuery)
	if err != nil {
		return nil, err
	}
	var pods []Pod
	for _, row := range rows {
		pods = append(pods, Pod{Namespace: row[0], Name: row[1], Phase: row[2], Owners: row[3], Static: strings.TrimSpace(row[4]) != ""})
	}
	return pods, nil
}

const budgetsQuery = `jsonpath={range .items[*]}{.metadata.namespace}{"\t"}{.metadata.name}{"\t"}{.status.disruptionsAllowed}{"\n"}{end}`

// Budgets are the PodDisruptionBudgets that allow no eviction now, as NAMESPACE/NAME.
func (k Kubectl) Budgets(ctx context.Context) (names []string, err error) {
	rows, err := k.Rows(ctx, 3, "get", "poddisruptionbudgets", "--all-namespaces", "-o", budgetsQuery)
	for _, row := range rows {
		if allowed := strings.TrimSpace(row[2]); allowed == "0" || allowed == "" {
			names = append(names, row[0]+"/"+row[1])
		}
	}
	return names, err
}

// Drain evicts the pods of a node, and keeps new ones off it. Pods of DaemonSets stay; data in emptyDir volumes go.
func (k Kubectl) Drain(ctx context.Context, node string, timeout time.Duration) error {
	_, err := k(ctx, nil, "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", fmt.Sprintf("--timeout=%s", timeout))
	return err
}

// RestartDeployment restarts the pods of a Deployment, and waits until they run.
func (k Kubectl) RestartDeployment(ctx context.Context, namespace, name string, timeout time.Duration) error {
	if _, err := k(ctx, nil, "rollout", "restart", "deployment", name, "--namespace", namespace); err != nil {
		return err
	}
	_, err := k(ctx, nil, "rollout", "status", "deployment", name, "--namespace", namespace, fmt.Sprintf("--timeout=%s", timeout))
	return err
}

// NodeAt returns the name of the node with an internal address, or nothing.
func (k Kubectl) NodeAt(ctx context.Context, address netip.Addr) (string, error) {
	nodes, err := k.Nodes(ctx)
	for _, name := range slices.Sorted(maps.Keys(nodes)) {
		if slices.Contains(nodes[name].Addresses(), address) {
			return name, nil
		}
	}
	return "", err
}

// Renewed is when the kubelet of a node renewed its lease last, in the API's own form; nothing when there is no lease. A kubelet that runs renews
// it every ten seconds.
func (k Kubectl) Renewed(ctx context.Context, node string) (string, error) {
	out, err := k(ctx, nil, "get", "lease", node, "--namespace", "kube-node-lease", "-o", "jsonpath={.spec.renewTime}", "--ignore-not-found")
	return strings.TrimSpace(string(out)), err
}

// DeleteNode removes a node. It is not an error if the node is not there.
func (k Kubectl) DeleteNode(ctx context.Context, node string) error {
	_, err := k(ctx, nil, "delete", "node", node, "--ignore-not-found", "--timeout=60s")
	return err
}
