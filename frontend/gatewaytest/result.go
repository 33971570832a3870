package gatewaytest

import (
	"context"
	"errors"
	"math"

	"github.com/moby/buildkit/cache/util"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/gateway/client"
	"github.com/tonistiigi/fsutil/types"
)

// result is a [client.Reference] to the result of a build graph.
type result struct {
	gateway *Gateway
	def     *definition
}

// ToState returns the build graph.
func (r *result) ToState() (llb.State, error) {
	op, err := llb.NewDefinitionOp(r.def.pb)
	if err != nil {
		return llb.State{}, err
	}
	return llb.NewState(op), nil
}

// Evaluate runs the operations of the build graph.
func (r *result) Evaluate(ctx context.Context) error {
	_, err := r.filesystem(ctx)
	return err
}

func (r *result) filesystem(ctx context.Context) (*filesystem, error) {
	g := r.gateway
	g.running.RLock()
	defer g.running.RUnlock()
	if g.ended {
		return nil, errors.New("the session has ended")
	}
	return g.evaluate(ctx, r.def, r.def.head)
}

func (r *result) directory(ctx context.Context) (string, error) {
	f, err := r.filesystem(ctx)
	if err != nil {
		return "", err
	}
	return f.directory(ctx)
}

// ReadFile reads a file of the result.
func (r *result) ReadFile(ctx context.Context, req client.ReadRequest) ([]byte, error) {
	dir, err := r.directory(ctx)
	if err != nil {
		return nil, err
	}
	read := util.ReadRequest{Filename: req.Filename}
	if req.Range != nil {
		read.Range = &util.FileRange{Offset: req.Range.Offset, Length: req.Range.Length}
	}
	return util.ReadFile(ctx, dir, read, math.MaxInt32)
}

// StatFile describes a file of the result.
func (r *result) StatFile(ctx context.Context, req client.StatRequest) (*types.Stat, error) {
	dir, err := r.directory(ctx)
	if err != nil {
		return nil, err
	}
	return util.StatFile(ctx, dir, req.Path)
}

// ReadDir lists a directory of the result.
func (r *result) ReadDir(ctx context.Context, req client.ReadDirRequest) ([]*types.Stat, error) {
	dir, err := r.directory(ctx)
	if err != nil {
		return nil, err
	}
	return util.ReadDir(ctx, dir, util.ReadDirRequest{Path: req.Path, IncludePattern: req.IncludePattern})
}
