package phase

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kube"
	"github.com/kubefile/kubefile/runner/report"
)

const (
	// dnsDeployment is what kubeadm calls the cluster's DNS (CoreDNSDeploymentName of cmd/kubeadm/app/constants/constants.go).
	dnsDeployment = "coredns"
	// spreadPatience is how long its pods may take to move.
	spreadPatience = 2 * time.Minute
)

// spreadDNS moves the cluster's DNS off a node that runs all of it, once hosts have joined: its pods were started when no other node was ready,
// and the scheduler leaves them there until that node fails (Kubernetes documentation, "Creating a cluster with kubeadm", "Joining your nodes").
func (p *ready) spreadDNS(ctx context.Context) error {
	joined := slices.ContainsFunc(p.Members, func(m *execute.Member) bool { return !p.known(m.Host.Address) })
	if !joined || len(p.addresses()) < 2 || p.kubeadm.SkipsDNS() {
		return nil
	}
	return p.Do(ctx, p.First(), "restart the cluster's DNS if one node runs all of it", func(ctx context.Context) error {
		crowded, err := p.crowdedDNS(ctx)
		if err != nil || crowded == "" {
			return err
		}
		p.Report.Line(p.First().String(), fmt.Sprintf("node %s runs all of the cluster's DNS: restarting it", crowded))
		err = p.First().Kube(spreadPatience+time.Minute).RestartDeployment(ctx, systemNamespace, dnsDeployment, spreadPatience)
		var exit *host.ExitError
		if errors.As(err, &exit) && ctx.Err() == nil { // the DNS works meanwhile
			p.Report.Line(p.First().String(), "warning: the cluster's DNS was not restarted: "+report.LastLine(exit.Stderr))
			return nil
		}
		return err
	})
}

// crowdedDNS is the node that runs all of the cluster's DNS, although another one takes its pods; empty when there is none.
func (p *ready) crowdedDNS(ctx context.Context) (string, error) {
	system, err := p.readSystem(ctx)
	if err != nil {
		return "", err
	}
	var on []string
	for _, pod := range system.pods {
		if pod.isDNS() {
			on = append(on, pod.node)
		}
	}
	if len(on) < 2 || len(distinct(on)) > 1 {
		return "", nil
	}
	nodes, err := p.Kube().Nodes(ctx)
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
	return t.Effect != "PreferNoSchedule" && t.Key != controlPlaneLabel && !strings.HasPrefix(t.Key, roleLabel+string(host.RoleMaster))
}
