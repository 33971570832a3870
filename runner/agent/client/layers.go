package client

import (
	"context"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/runner/agent/wire"
)

// Unneeded lists the layers on the host that are not among keep. An agent of an earlier version lists none.
func (c Client) Unneeded(ctx context.Context, keep []digest.Digest) ([]wire.Unneeded, error) {
	var answer wire.HaveAnswer
	if err := c.call(ctx, c.agent(), wire.VerbHave, wire.HaveRequest{Dir: c.Dir, Keep: keep}, nil, &answer); err != nil {
		return nil, fmt.Errorf("asking for layers of earlier images: %w", err)
	}
	return answer.Unneeded, nil
}

// removeAtOnce is how many layers one request names: the request is an argument of a command.
const removeAtOnce = 500

// RemoveLayers removes layers from the host with what only they brought, and returns how many bytes that were.
func (c Client) RemoveLayers(ctx context.Context, layers []digest.Digest) (bytes int64, err error) {
	for some := range slices.Chunk(layers, removeAtOnce) {
		var answer wire.RemoveLayersAnswer
		if err := c.call(ctx, c.agent(), wire.VerbRemoveLayers, wire.RemoveLayersRequest{Dir: c.Dir, Layers: some}, nil, &answer); err != nil {
			return bytes, fmt.Errorf("removing layers of earlier images: %w", err)
		}
		bytes += answer.Bytes
	}
	return bytes, nil
}
