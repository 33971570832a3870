package llb

import (
	"context"

	"github.com/moby/buildkit/client/llb"
)

// Runs reports whether a program ran on the file system that st begins at, which can have removed files of it.
func Runs(ctx context.Context, st llb.State) (bool, error) {
	g, err := readGraph(ctx, st)
	if err != nil {
		return false, err
	}
	for _, dgst := range g.chain() {
		if g.vertices[dgst].op.GetExec() != nil {
			return true, nil
		}
	}
	return false, nil
}
