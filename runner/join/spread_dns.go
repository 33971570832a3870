package join

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/health"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/store"
)

const (
	// dnsDeployment is what kubeadm calls the cluster's DNS (CoreDNSDeploymentName of cmd/kubeadm/app/constants/constants.go).
	dnsDeployment = "coredns"
	// spreadPatience is how long its pods may take to move.
	spreadPatience = 2 * time.Minute
)

// SpreadDNS moves the cluster's DNS off a node that runs all of it, once hosts have joined: its pods were started when no other node was ready,
// and the scheduler leaves them there until that node fails (Kubernetes documentation, "Creating a cluster with kubeadm", "Joining your nodes").
func SpreadDNS(ctx context.Context, s *execute.Session, t *store.Store, documents kubeadm.Documents) error {
	joined := slices.ContainsFunc(s.Members, func(m *execute.Member) bool { return !t.State.Complete(m.Host.Address) })
	if !joined || len(t.Addresses(s)) < 2 || documents.SkipsDNS() {
		return nil
	}
	return s.Do(ctx, s.First(), "restart the cluster's DNS if one node runs all of it", func(ctx context.Context) error {
		crowded, err := health.CrowdedDNS(ctx, s)
		if err != nil || crowded == "" {
			return err
		}
		s.Report.Line(s.First().String(), fmt.Sprintf("node %s runs all of the cluster's DNS: restarting it", crowded))
		err = s.First().Kube(spreadPatience+time.Minute).RestartDeployment(ctx, health.SystemNamespace, dnsDeployment, spreadPatience)
		var exit *host.ExitError
		if errors.As(err, &exit) && ctx.Err() == nil { // the DNS works meanwhile
			s.Report.Line(s.First().String(), "warning: the cluster's DNS was not restarted: "+report.LastLine(exit.Stderr))
			return nil
		}
		return err
	})
}
