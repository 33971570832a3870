package phase

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kubefile/kubefile/runner/agent"
)

// check waits until the cluster works: every node is ready, every system pod is, and the cluster's DNS answers on every host.
func (c *Cluster) check(ctx context.Context, patience time.Duration) error {
	waiting, err := c.wait(ctx, patience, func(ctx context.Context) ([]string, error) {
		var all []string
		var failed []error
		for _, ask := range []func(context.Context) ([]string, error){c.unreadyNodes, c.unreadyPods, c.silentDNS} {
			waiting, err := ask(ctx)
			all, failed = append(all, waiting...), append(failed, err)
		}
		return all, errors.Join(failed...)
	})
	if err != nil || len(waiting) == 0 {
		return err
	}
	return fmt.Errorf("not ready after %s:\n  %s", patience, strings.Join(waiting, "\n  "))
}

// unreadyNodes are [Cluster.unready], and nodes of hosts that were not named or do not answer.
func (c *Cluster) unreadyNodes(ctx context.Context) ([]string, error) {
	nodes, err := c.nodesByName(ctx)
	if err != nil {
		return nil, err
	}
	waiting := c.unreadyOf(nodes)
	for _, name := range slices.Sorted(maps.Keys(nodes)) {
		ours := slices.ContainsFunc(c.members, func(m *member) bool { return m.name == name })
		if !ours && !nodes[name].ready() {
			waiting = append(waiting, "node "+name)
		}
	}
	return waiting, nil
}

// unreadyPods are the pods of kube-system that neither run nor have finished.
func (c *Cluster) unreadyPods(ctx context.Context) ([]string, error) {
	out, err := c.kubectl(ctx, "get", "pods", "--namespace", "kube-system", "-o", "json")
	if err != nil {
		return nil, err
	}
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Spec     struct{ NodeName string }
			Status   struct {
				Phase      string
				Conditions []condition
			}
		}
	}
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, fmt.Errorf("reading the list of pods: %w", err)
	}
	var waiting []string
	for _, pod := range list.Items {
		if pod.Status.Phase != "Succeeded" && !slices.Contains(pod.Status.Conditions, condition{"Ready", "True"}) {
			waiting = append(waiting, strings.TrimSuffix("pod "+pod.Metadata.Name+" ("+pod.Status.Phase+") on "+pod.Spec.NodeName, " on "))
		}
	}
	return waiting, nil
}

// silentDNS are the hosts on which the cluster's DNS does not say where the API is.
func (c *Cluster) silentDNS(ctx context.Context) ([]string, error) {
	name := "kubernetes.default.svc." + c.kubeadm.DNSDomain()
	var mu sync.Mutex
	var silent []string
	err := c.each(ctx, c.members, func(ctx context.Context, m *member) error {
		answers, err := m.holds(ctx, agent.Path, "resolve", "--server", c.kubeadm.DNSAddress(), name)
		if !answers && err == nil {
			mu.Lock()
			defer mu.Unlock()
			silent = append(silent, fmt.Sprintf("DNS: %s does not resolve %s on %s", c.kubeadm.DNSAddress(), name, m))
		}
		return err
	})
	slices.Sort(silent)
	return silent, err
}
