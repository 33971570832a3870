package phase

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// ready waits until every node is Ready, which the image's network plugin makes them.
type ready struct{ *Cluster }

func (*ready) Title() string { return "Wait until the nodes are ready" }

const readyPatience = 5 * time.Minute

func (p *ready) Run(ctx context.Context) error {
	if p.DryRun {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	var waiting []string
	for {
		out, err := p.kubectl(limited, "get", "nodes", "--no-headers")
		if err == nil {
			if waiting = p.notReady(string(out)); len(waiting) == 0 {
				return nil
			}
		}
		if pause(limited, time.Second) != nil {
			break
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("not ready after %s: %s: look at kubectl describe node, and at sealer-run status --missed for images that are missing",
		readyPatience, strings.Join(waiting, ", "))
}

// notReady returns the members that kubectl's list of nodes does not call Ready.
func (p *ready) notReady(list string) []string {
	status := map[string]string{}
	for line := range strings.Lines(list) {
		if fields := strings.Fields(line); len(fields) > 1 {
			status[fields[0]] = fields[1]
		}
	}
	var waiting []string
	for _, m := range p.members {
		if s := status[m.name()]; s != "Ready" && !strings.HasPrefix(s, "Ready,") {
			waiting = append(waiting, m.name())
		}
	}
	return waiting
}
