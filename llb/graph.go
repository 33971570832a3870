package llb

import (
	"context"
	"fmt"
	"strings"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	"google.golang.org/protobuf/proto"
)

// vertex is one operation of a graph with its metadata.
type vertex struct {
	op        *pb.Op
	metadata  *pb.OpMetadata
	locations *pb.Locations
}

// graph is a marshalled definition that can be read and rewritten op by op. The Dockerfile compiler returns a finished
// state; what a Kubefile does differently is done here, on its graph, so that text, positions, history and config
// of the user's build stay untouched.
type graph struct {
	vertices map[string]*vertex // by digest
	order    []string           // inputs come before their users
	infos    []*pb.SourceInfo
	head     *pb.Input // nil: scratch
}

func readGraph(ctx context.Context, st llb.State) (*graph, error) {
	def, err := st.Marshal(ctx)
	if err != nil {
		return nil, fmt.Errorf("marshalling the build graph: %w", err)
	}
	return parseGraph(def.ToPB())
}

// parseGraph reads a definition. A part of it that BuildKit itself has written need not have the bytes that this process writes for the
// same operations (before 0.17 it has not), so digests are ours throughout.
func parseGraph(def *pb.Definition) (*graph, error) {
	g := &graph{vertices: map[string]*vertex{}}
	if def.Source != nil {
		g.infos = def.Source.Infos
	}
	ours := map[string]string{}
	for i, dt := range def.Def {
		op := &pb.Op{}
		if err := proto.Unmarshal(dt, op); err != nil {
			return nil, fmt.Errorf("reading operation %d of the build graph: %w", i, err)
		}
		for _, in := range op.Inputs {
			in.Digest = ours[in.Digest]
		}
		if op.Op == nil { // the last entry only names the result
			if len(op.Inputs) > 0 {
				g.head = op.Inputs[0]
			}
			continue
		}
		dgst := digest.FromBytes(dt).String()
		var err error
		if ours[dgst], err = g.add(&vertex{op: op, metadata: def.Metadata[dgst], locations: def.Source.GetLocations()[dgst]}); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// at returns the graph below one of its inputs.
func (g *graph) at(head *pb.Input) *graph {
	return &graph{vertices: g.vertices, order: g.order, infos: g.infos, head: head}
}

// add puts v into the graph, after everything that is in it already.
func (g *graph) add(v *vertex) (string, error) {
	dt, err := marshalOp(v.op)
	if err != nil {
		return "", err
	}
	dgst := digest.FromBytes(dt).String()
	if _, ok := g.vertices[dgst]; !ok {
		g.order = append(g.order, dgst)
		g.vertices[dgst] = v
	}
	return dgst, nil
}

// addState adds all operations of st to the graph and returns the input for its result; nil for scratch.
func (g *graph) addState(ctx context.Context, st llb.State) (*pb.Input, error) {
	other, err := readGraph(ctx, st)
	if err != nil {
		return nil, err
	}
	for _, dgst := range other.order {
		if _, err := g.add(&vertex{op: other.vertices[dgst].op, metadata: other.vertices[dgst].metadata}); err != nil {
			return nil, err
		}
	}
	return other.head, nil
}

// rewrite returns a copy of the graph in which edit has replaced every vertex. edit gets a private copy whose inputs are already rewritten;
// it may add vertices to out, and returns the output that replaces the vertex from then on, or nil to keep the vertex as edited.
func (g *graph) rewrite(edit func(out *graph, old string, v *vertex) (*pb.Input, error)) (*graph, error) {
	out := &graph{vertices: map[string]*vertex{}, infos: g.infos}
	kept := map[string]string{}
	replaced := map[string]*pb.Input{}
	move := func(in *pb.Input) *pb.Input {
		if to, ok := replaced[in.Digest]; ok {
			return to
		}
		return &pb.Input{Digest: kept[in.Digest], Index: in.Index}
	}
	for _, old := range g.order {
		v := &vertex{
			op:        proto.Clone(g.vertices[old].op).(*pb.Op),
			metadata:  g.vertices[old].metadata,
			locations: g.vertices[old].locations,
		}
		for i, in := range v.op.Inputs {
			v.op.Inputs[i] = move(in)
		}
		to, err := edit(out, old, v)
		if err != nil {
			return nil, err
		}
		if to != nil {
			replaced[old] = to
			continue
		}
		if kept[old], err = out.add(v); err != nil {
			return nil, err
		}
	}
	if g.head != nil {
		out.head = move(g.head)
	}
	return out, nil
}

// state turns the graph into a state again. Only what the head needs is in it.
func (g *graph) state() (llb.State, error) {
	if g.head == nil {
		return llb.Scratch(), nil
	}
	needed := map[string]bool{g.head.Digest: true}
	for i := len(g.order) - 1; i >= 0; i-- {
		if needed[g.order[i]] {
			for _, in := range g.vertices[g.order[i]].op.Inputs {
				needed[in.Digest] = true
			}
		}
	}
	def := &pb.Definition{
		Metadata: map[string]*pb.OpMetadata{},
		Source:   &pb.Source{Infos: g.infos, Locations: map[string]*pb.Locations{}},
	}
	for _, dgst := range g.order {
		if !needed[dgst] {
			continue
		}
		v := g.vertices[dgst]
		dt, err := marshalOp(v.op)
		if err != nil {
			return llb.State{}, err
		}
		def.Def = append(def.Def, dt)
		def.Metadata[dgst] = v.metadata
		if v.metadata == nil {
			def.Metadata[dgst] = &pb.OpMetadata{}
		}
		if v.locations != nil {
			def.Source.Locations[dgst] = v.locations
		}
	}
	dt, err := marshalOp(&pb.Op{Inputs: []*pb.Input{g.head}})
	if err != nil {
		return llb.State{}, err
	}
	def.Def = append(def.Def, dt)
	op, err := llb.NewDefinitionOp(def)
	if err != nil {
		return llb.State{}, fmt.Errorf("reading the rewritten build graph: %w", err)
	}
	return llb.NewState(op), nil
}

func marshalOp(op *pb.Op) ([]byte, error) {
	dt, err := proto.MarshalOptions{Deterministic: true}.Marshal(op)
	if err != nil {
		return nil, fmt.Errorf("marshalling an operation of the build graph: %w", err)
	}
	return dt, nil
}

// below returns the input whose file system v continues: the root of an exec, what a file operation writes onto, the lowest
// layer of a merge. It is nil for scratch, and for a source, which continues nothing.
func (v *vertex) below() *pb.Input {
	if i := v.belowIndex(); i >= 0 {
		return v.op.Inputs[i]
	}
	return nil
}

// belowIndex is the number of that input; -1 for none.
func (v *vertex) belowIndex() int {
	number := int64(pb.Empty)
	switch op := v.op.Op.(type) {
	case *pb.Op_Exec:
		for _, m := range op.Exec.Mounts {
			if m.Dest == pb.RootMount {
				number = m.Input
			}
		}
	case *pb.Op_File:
		if len(op.File.Actions) > 0 {
			number = op.File.Actions[0].Input
		}
	case *pb.Op_Merge:
		if len(op.Merge.Inputs) > 0 {
			number = op.Merge.Inputs[0].Input
		}
	}
	if number < 0 || number >= int64(len(v.op.Inputs)) {
		return -1
	}
	return int(number)
}

// chain returns the digests from the head down to the root of its file system: the last one is a source, or an operation that
// starts from scratch.
func (g *graph) chain() []string {
	var chain []string
	for in := g.head; in != nil; {
		v := g.vertices[in.Digest]
		if v == nil {
			break
		}
		chain = append(chain, in.Digest)
		in = v.below()
	}
	return chain
}

// root is the vertex at which the file system of the head begins; nil for scratch.
func (g *graph) root() *vertex {
	chain := g.chain()
	if len(chain) == 0 {
		return nil
	}
	return g.vertices[chain[len(chain)-1]]
}

// image returns the reference of the image that the graph pulls, if that is all it does.
func (g *graph) image() (string, bool) {
	if len(g.chain()) != 1 {
		return "", false
	}
	return g.root().image()
}

// image returns the reference of the image that v pulls. It has a digest, unless the image was given as a named context.
func (v *vertex) image() (string, bool) {
	scheme, ref, _ := strings.Cut(v.op.GetSource().GetIdentifier(), "://")
	return ref, scheme == "docker-image" || scheme == "oci-layout"
}
