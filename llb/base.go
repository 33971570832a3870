package llb

import (
	"context"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
)

// Base returns the image that the file system of st begins at, and false if it begins at anything else. The state has the
// same vertex as in st, so that BuildKit knows them as one.
func Base(ctx context.Context, st llb.State) (llb.State, bool, error) {
	g, err := readGraph(ctx, st)
	if err != nil {
		return llb.State{}, false, err
	}
	chain := g.chain()
	if len(chain) == 0 {
		return llb.State{}, false, nil
	}
	if _, ok := g.root().image(); !ok {
		return llb.State{}, false, nil
	}
	root := chain[len(chain)-1]
	base, err := g.at(&pb.Input{Digest: root}).state()
	return base, err == nil, err
}

// Depth returns how many layers the steps of st make, without the layers of the images that it begins with. A base that is not an image
// counts as one.
func Depth(ctx context.Context, st llb.State) (int, error) {
	g, err := readGraph(ctx, st)
	if err != nil {
		return 0, err
	}
	depths := map[string]int{}
	for _, dgst := range g.order {
		v := g.vertices[dgst]
		depth := 1
		if below := v.below(); below != nil {
			depth += depths[below.Digest]
		}
		if _, ok := v.image(); ok {
			depth = 0
		}
		if v.op.GetMerge() != nil {
			depth = 0
			for _, in := range v.op.Inputs {
				depth += depths[in.Digest]
			}
		}
		depths[dgst] = depth
	}
	if g.head == nil {
		return 0, nil
	}
	return depths[g.head.Digest], nil
}

// Added returns what st adds to base, without making BuildKit pull the base as long as every step of st is a layer of
// its own (see [Linked]). The caller has checked that the worker can merge and diff.
func Added(ctx context.Context, base, st llb.State) (llb.State, error) {
	g, err := readGraph(ctx, st)
	if err != nil {
		return llb.State{}, err
	}
	if len(g.chain()) == 1 {
		return llb.Scratch(), nil
	}
	// BuildKit takes the layers above an ancestor as they are only if there are two or more of them.
	marker := llb.Scratch().File(llb.Mkdir("/.kubefile", 0o755), internal("mark the base"))
	marked := llb.Merge([]llb.State{st, marker}, internal("put the mark on top"))
	return llb.Diff(base, marked, internal("take what this build adds")), nil
}
