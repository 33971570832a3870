package phase

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kubefile/kubefile/runner/host"
)

// drain moves the pods of the nodes that leave: of several nodes at a time, and of one master after the other.
type drain struct{ *departure }

func (*drain) Title() string { return "Drain the nodes" }

// maxDrains is how many nodes are drained at a time: their pods have to find room on the others.
const maxDrains = 5

func (p *drain) Run(ctx context.Context) error {
	if p.leaving.SkipDrain || p.leaving.Lost {
		return nil
	}
	nodes := slices.DeleteFunc(slices.Clone(p.leavers), (*leaver).isMaster)
	if err := together(maxDrains, nodes, func(l *leaver) error { return p.one(ctx, l) }); err != nil {
		return err
	}
	for _, l := range p.leavingMasters() {
		if err := p.one(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

// one drains the node of a host, if there is one.
func (p *drain) one(ctx context.Context, l *leaver) error {
	there, err := p.kube().Node(ctx, l.name)
	if err != nil || there == nil {
		return err
	}
	timeout := p.leaving.DrainTimeout
	if timeout == 0 {
		timeout = DefaultDrainTimeout
	}
	return p.Do(ctx, p.first(), fmt.Sprintf("drain node %s", l.name), func(ctx context.Context) error {
		if err := p.still(ctx, l); err != nil {
			return err
		}
		err := p.first().kube(timeout+time.Minute).Drain(ctx, l.name, timeout)
		var exit *host.ExitError
		if !errors.As(err, &exit) || ctx.Err() != nil {
			return err
		}
		return fmt.Errorf("its pods did not move within %s: %s%s\n  Fix what keeps them and run the same command again, or add --skip-drain to remove the node "+
			"with its pods. To keep it instead, apply the cluster's image with this host, and run kubectl uncordon %s", timeout, lastLine(exit.Stderr), p.blocking(ctx, l), l.name)
	})
}

// blocking names what kept a drain from its end.
func (p *drain) blocking(ctx context.Context, l *leaver) string {
	pods, err := p.kube().PodsOn(ctx, l.name)
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
	text := "\n  pods that are left: " + shortened(left)
	if budgets, err := p.kube().Budgets(ctx); err == nil && len(budgets) > 0 {
		text += "\n  PodDisruptionBudgets that allow no eviction now: " + shortened(budgets)
	}
	return text
}
