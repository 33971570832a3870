package client

import (
	"context"

	"github.com/kubefile/kubefile/runner/agent/wire"
)

// Probe asks a host what it reaches of the cluster. It changes nothing.
func (c Client) Probe(ctx context.Context, p wire.Probe) (wire.Probed, error) {
	var answer wire.Probed
	err := c.call(ctx, c.agent(), wire.VerbProbe, p, nil, &answer)
	return answer, err
}

// WatchUnit waits until a unit runs and answers, or does not get there. It changes nothing.
func (c Client) WatchUnit(ctx context.Context, u wire.Unit) (wire.UnitState, error) {
	var answer wire.UnitState
	err := c.call(ctx, c.agent(), wire.VerbUnit, u, nil, &answer)
	return answer, err
}
