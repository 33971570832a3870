package health

import (
	"context"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kube"
)

// CrowdedDNS is the node that runs all of the cluster's DNS, although another one takes its pods; empty when there is none.
func CrowdedDNS(ctx context.Context, s *execute.Session) (string, error) {
	system, err := readSystem(ctx, s)
	if err != nil {
		return "", err
	}
	var on []string
	for _, pod := range system.pods {
		if pod.isDNS() {
			on = append(on, pod.node)
		}
	}
	if len(on) < 2 || len(slices.Compact(slices.Sorted(slices.Values(on)))) > 1 {
		return "", nil
	}
	nodes, err := s.Kube().Nodes(ctx)
	if err != nil {
		return "", err
	}
	for name, node := range nodes {
		if name != on[0] && node.Ready() && !slices.ContainsFunc(node.Spec.Taints, repelsDNS) {
			return on[0], nil
		}
	}
	return "", nil
}

// repelsDNS reports whether a taint keeps the pods of kubeadm's DNS off a node. They tolerate that of masters.
func repelsDNS(t kube.Taint) bool {
	return t.Effect != "PreferNoSchedule" && t.Key != kube.ControlPlaneLabel && !strings.HasPrefix(t.Key, kube.RoleLabel+string(host.RoleMaster))
}

// UnreadyDNS are the pods of the cluster's DNS, if none of them is ready.
func UnreadyDNS(ctx context.Context, session *execute.Session) ([]Problem, error) {
	s, err := readSystem(ctx, session)
	if err != nil {
		return nil, err
	}
	s.pods = slices.DeleteFunc(s.pods, func(pod pod) bool { return !pod.isDNS() })
	d := diagnosis{Session: session, system: s}
	return d.unreadyPods(ctx), nil
}
