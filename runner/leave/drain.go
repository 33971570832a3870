package leave

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/health"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/report"
)

// Drain moves the pods of the nodes that leave: of several nodes at a time, and of one master after the other.
type Drain struct{ *Departure }

// Title says what the phase does, for a person.
func (*Drain) Title() string { return "Drain the nodes" }

// maxDrains is how many nodes are drained at a time: their pods have to find room on the others.
const maxDrains = 5

// Run also waits until the cluster's DNS runs on a node that stays.
func (p *Drain) Run(ctx context.Context) error {
	if p.Leaving.SkipDrain || p.Leaving.Lost {
		return nil
	}
	nodes := slices.DeleteFunc(slices.Clone(p.leavers), (*leaver).isMaster)
	if err := execute.Together(maxDrains, nodes, func(l *leaver) error { return p.one(ctx, l) }); err != nil {
		return err
	}
	for _, l := range p.leavingMasters() {
		if err := p.one(ctx, l); err != nil {
			return err
		}
	}
	return p.dnsRuns(ctx)
}

// dnsRuns waits until a pod of the cluster's DNS runs, if the cluster has any: perhaps no other node takes those that were moved.
func (p *Drain) dnsRuns(ctx context.Context) error {
	if p.DryRun {
		return nil
	}
	begin := time.Now()
	told := begin
	for interval := health.FirstInterval; ; interval = health.Longer(interval) {
		problems, err := health.UnreadyDNS(ctx, p.Session)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil && len(problems) == 0:
			return nil
		case time.Since(begin) >= p.timeout() && err != nil:
			return fmt.Errorf("looking where the cluster's DNS runs: %w", err)
		case time.Since(begin) >= p.timeout():
			return p.withoutDNS(problems)
		case err != nil:
			problems = []health.Problem{{Text: err.Error()}}
		}
		if time.Since(told) >= health.NoticeEvery {
			told = time.Now()
			health.Tell(p.Report, time.Since(begin), problems)
		}
		if execute.Pause(ctx, interval) != nil {
			return context.Cause(ctx)
		}
	}
}

// withoutDNS is the error for a cluster that would be left without one.
func (p *Drain) withoutDNS(problems []health.Problem) error {
	var pods, nodes []string
	for _, found := range problems {
		pods = append(pods, found.Text)
	}
	for _, l := range p.leavers {
		nodes = append(nodes, l.name)
	}
	return fmt.Errorf("the cluster's DNS runs on no node that stays, after %s:\n  %s\n  Give it one, as by removing a taint (kubectl describe node), and run the same command again, "+
		"or add --skip-drain. %s", p.timeout(), strings.Join(pods, "\n  "), keepInstead(nodes...))
}

// keepInstead is how hosts that were drained stay in the cluster.
func keepInstead(nodes ...string) string {
	return "To keep the hosts instead, apply the cluster's image with them, and run kubectl uncordon " + strings.Join(nodes, " ")
}

// timeout is how long the pods of a node may take to move.
func (p *Drain) timeout() time.Duration { return cmp.Or(p.Leaving.DrainTimeout, DefaultDrainTimeout) }

// one drains the node of a host, if there is one.
func (p *Drain) one(ctx context.Context, l *leaver) error {
	there, err := p.Kube().Node(ctx, l.name)
	if err != nil || there == nil {
		return err
	}
	timeout := p.timeout()
	return p.Do(ctx, p.First(), fmt.Sprintf("drain node %s", l.name), func(ctx context.Context) error {
		if err := p.still(ctx, l); err != nil {
			return err
		}
		err := p.First().Kube(timeout+time.Minute).Drain(ctx, l.name, timeout)
		var exit *host.ExitError
		if !errors.As(err, &exit) || ctx.Err() != nil {
			return err
		}
		return fmt.Errorf("its pods did not move within %s: %s%s\n  Fix what keeps them and run the same command again, or add --skip-drain to remove the node "+
			"with its pods. %s", timeout, report.LastLine(exit.Stderr), p.blocking(ctx, l), keepInstead(l.name))
	})
}

// blocking names what kept a drain from its end.
func (p *Drain) blocking(ctx context.Context, l *leaver) string {
	pods, err := p.Kube().PodsOn(ctx, l.name)
	if err != nil {
		return ""
	}
	var left []string
	for _, pod := range pods {
		if pod.Evictable() {
			left = append(left, pod.String())
		}
	}
	if len(left) == 0 {
		return ""
	}
	text := "\n  pods that are left: " + report.Names(left, report.ManyHosts)
	if budgets, err := p.Kube().Budgets(ctx); err == nil && len(budgets) > 0 {
		text += "\n  PodDisruptionBudgets that allow no eviction now: " + report.Names(budgets, report.ManyHosts)
	}
	return text
}
