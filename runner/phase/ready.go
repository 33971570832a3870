package phase

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubefile/kubefile/imagespec"
)

// ready waits until every node is Ready, which the image's network plugin makes them: after its own commands if it is an application of
// the image, else after all commands, of which any may be the one.
type ready struct {
	*Cluster
	after stage
}

func (*ready) Title() string { return "Wait until the nodes are ready" }

const readyPatience = 5 * time.Minute

func (p *ready) Run(ctx context.Context) error {
	after := guests
	if slices.ContainsFunc(p.Artifact.Description.Apps, func(a imagespec.App) bool { return p.network(a.Name) }) {
		after = network
	}
	if p.DryRun || p.after != after {
		return nil
	}
	waiting, err := p.wait(ctx, readyPatience, p.unready)
	if err != nil || len(waiting) == 0 {
		return err
	}
	return fmt.Errorf("not ready after %s: %s: look at kubectl describe node, and at sealer-run status --missed for images that are missing",
		readyPatience, strings.Join(waiting, ", "))
}

// wait asks until nothing is waited for any more, and returns what still is when patience ends.
func (c *Cluster) wait(ctx context.Context, patience time.Duration, ask func(context.Context) ([]string, error)) (waiting []string, err error) {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	waiting = []string{"the cluster does not answer"}
	for {
		found, err := ask(limited)
		switch {
		case err == nil && len(found) == 0:
			return nil, nil
		case err == nil:
			waiting = found
		case limited.Err() == nil:
			waiting = []string{err.Error()}
		}
		if pause(limited, time.Second) != nil {
			return waiting, context.Cause(ctx)
		}
	}
}

// unready are the nodes that are not Ready, and the hosts that have none.
func (c *Cluster) unready(ctx context.Context) ([]string, error) {
	nodes, err := c.nodesByName(ctx)
	if err != nil {
		return nil, err
	}
	return c.unreadyOf(nodes), nil
}

// unreadyOf is [Cluster.unready] for nodes that have been read.
func (c *Cluster) unreadyOf(nodes map[string]node) (waiting []string) {
	for _, m := range c.members {
		n, ok := nodes[m.name]
		switch {
		case !ok:
			waiting = append(waiting, "node "+m.name+" is not there")
		case !n.ready():
			waiting = append(waiting, "node "+m.name)
		}
	}
	return waiting
}
