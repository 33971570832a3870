package runner

import (
	"context"
	"fmt"
	"io"

	"github.com/kubefile/kubefile/runner/leave"
	"github.com/kubefile/kubefile/runner/phase"
)

// pruned are the hosts of the cluster that the Clusterfile does not list and that leave. It refuses, before any change, what a removal of them
// refuses: hosts are taken out last, when those that replace them have joined, and by then it would be too late.
func pruned(ctx context.Context, site Site, opts Options, log *runLog) (leave.Hosts, error) {
	var none leave.Hosts
	if opts.Prune == nil {
		return none, nil
	}
	c, err := site.cluster()
	if err != nil {
		return none, err
	}
	defer c.Close()
	found, err := phase.Recall(ctx, c)
	if err != nil || found.State == nil { // without a cluster there is nothing to take out
		return none, err
	}
	leaving := opts.Prune.Unlisted(found.State, c.Logins())
	if len(leaving.Addresses()) == 0 {
		return none, nil
	}
	check, err := site.cluster()
	if err != nil {
		return none, err
	}
	check.Report.Part("check the removal of hosts that the Clusterfile does not list: " + addressList(leaving.Addresses()))
	if err := perform(ctx, check, phase.DepartureChecks(check, leaving), opts, log); err != nil {
		return none, fmt.Errorf("hosts that the Clusterfile does not list: %w", err)
	}
	return leaving, nil
}

// prune takes hosts out of the cluster that the Clusterfile does not list.
func prune(ctx context.Context, site Site, leaving leave.Hosts, opts Options, log *runLog, out io.Writer) (*phase.Cluster, error) {
	c, err := site.cluster()
	if err != nil {
		return nil, err
	}
	c.Report.Part("remove the hosts that the Clusterfile does not list: " + addressList(leaving.Addresses()))
	if err := perform(ctx, c, phase.Departure(c, leaving), opts, log); err != nil || opts.shown() {
		return c, err
	}
	return c, sayLeft(out, c, leaving)
}
