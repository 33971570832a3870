package gatewaytest

import (
	"context"
	"fmt"
	"sync"

	"github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/apicaps"
	"github.com/opencontainers/go-digest"
	"google.golang.org/protobuf/proto"
)

// definition is a build graph.
type definition struct {
	pb   *pb.Definition
	ops  map[string]*pb.Op
	head *pb.Input // nil: scratch
}

// evaluation is the result of one operation: its outputs.
type evaluation struct {
	once    sync.Once
	outputs []*filesystem
	err     error
}

// Solve evaluates a build graph: at once if the request has Evaluate set, otherwise when its result is read.
func (g *Gateway) Solve(ctx context.Context, req client.SolveRequest) (*client.Result, error) {
	if req.Frontend != "" {
		return nil, refused("the frontend %s", req.Frontend)
	}
	def, err := g.read(req.Definition)
	if err != nil {
		return nil, err
	}
	ref := &result{gateway: g, def: def}
	if req.Evaluate {
		if err := ref.Evaluate(ctx); err != nil {
			return nil, err
		}
	}
	res := client.NewResult()
	res.SetRef(ref)
	return res, nil
}

// read parses a definition and checks that the daemon has the capabilities that it needs.
func (g *Gateway) read(def *pb.Definition) (*definition, error) {
	d := &definition{pb: def, ops: map[string]*pb.Op{}}
	for i, dt := range def.GetDef() {
		op := &pb.Op{}
		if err := proto.Unmarshal(dt, op); err != nil {
			return nil, fmt.Errorf("reading operation %d: %w", i, err)
		}
		dgst := digest.FromBytes(dt).String()
		for c := range def.Metadata[dgst].GetCaps() {
			if err := g.caps.Supports(apicaps.CapID(c)); err != nil {
				return nil, err
			}
		}
		for _, in := range op.Inputs {
			if d.ops[in.Digest] == nil {
				return nil, fmt.Errorf("operation %d has the unknown input %s", i, in.Digest)
			}
		}
		if op.Op == nil {
			if len(op.Inputs) > 0 {
				d.head = op.Inputs[0]
			}
			continue
		}
		d.ops[dgst] = op
	}
	return d, nil
}

// evaluate returns the file system of an input; nil is scratch.
func (g *Gateway) evaluate(ctx context.Context, d *definition, in *pb.Input) (*filesystem, error) {
	if in == nil {
		return &filesystem{gateway: g}, nil
	}
	g.mu.Lock()
	e := g.results[in.Digest]
	if e == nil {
		e = &evaluation{}
		g.results[in.Digest] = e
	}
	g.mu.Unlock()
	e.once.Do(func() {
		e.outputs, e.err = g.run(ctx, d, in.Digest)
	})
	if e.err != nil {
		return nil, e.err
	}
	if in.Index < 0 || in.Index >= int64(len(e.outputs)) {
		return nil, fmt.Errorf("%s has no output %d", in.Digest, in.Index)
	}
	return e.outputs[in.Index], nil
}

// run evaluates an operation after its inputs. An error of the operation itself gets its place in the source.
func (g *Gateway) run(ctx context.Context, d *definition, dgst string) ([]*filesystem, error) {
	op := d.ops[dgst]
	var inputs []*filesystem
	for _, in := range op.Inputs {
		input, err := g.evaluate(ctx, d, in)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, input)
	}
	outputs, err := g.operation(ctx, dgst, op, inputs)
	if err != nil {
		return nil, d.located(err, dgst)
	}
	return outputs, nil
}

func (g *Gateway) operation(ctx context.Context, dgst string, op *pb.Op, inputs []*filesystem) ([]*filesystem, error) {
	one := func(f *filesystem, err error) ([]*filesystem, error) { return []*filesystem{f}, err }
	switch o := op.Op.(type) {
	case *pb.Op_Source:
		return one(g.source(ctx, dgst, o.Source, op.Platform))
	case *pb.Op_File:
		return g.files(ctx, dgst, o.File, inputs)
	case *pb.Op_Exec:
		return g.exec(ctx, dgst, o.Exec, inputs)
	case *pb.Op_Merge:
		return one(g.merge(o.Merge, inputs))
	case *pb.Op_Diff:
		return one(g.diff(ctx, dgst, o.Diff, inputs))
	}
	return nil, refused("the operation %T", op.Op)
}

// located adds the places of an operation in the source to its error, as the daemon does.
func (d *definition) located(err error, dgst string) error {
	for _, loc := range d.pb.Source.GetLocations()[dgst].GetLocations() {
		if int(loc.SourceIndex) < len(d.pb.Source.Infos) {
			err = errdefs.WithSource(err, &errdefs.Source{Info: d.pb.Source.Infos[loc.SourceIndex], Ranges: loc.Ranges})
		}
	}
	return err
}
