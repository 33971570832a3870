package llb

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
	"google.golang.org/protobuf/proto"
)

// Linked returns st with its COPY, ADD and WORKDIR steps as layers of their own (as COPY --link does), if that spares BuildKit
// pulling the base: when st begins at a cluster image and every step of it can be linked. source is the text of the Kubefile; plain says
// of a line in it that the user asked for a plain copy there.
//
// A copy to a path without a trailing slash means a directory if the base has one there, which nobody can know without
// pulling it; such a step keeps st as it is, unless the path says by itself what it is.
func Linked(ctx context.Context, st llb.State, isCluster func(image string) bool, source []byte, plain func(line int) bool) (llb.State, error) {
	g, err := readGraph(ctx, st)
	if err != nil {
		return st, err
	}
	chain := g.chain()
	if len(chain) < 2 {
		return st, nil
	}
	if image, ok := g.root().image(); !ok || !isCluster(image) {
		return st, nil
	}
	steps := chain[:len(chain)-1]
	for _, dgst := range steps {
		v := g.vertices[dgst]
		if v.op.GetMerge() != nil { // linked by the user
			continue
		}
		if !linkable(v.op) || slices.ContainsFunc(g.lines(v, source), plain) {
			return st, nil
		}
	}
	out, err := g.rewrite(func(out *graph, old string, v *vertex) (*pb.Input, error) {
		if v.op.GetMerge() != nil || !slices.Contains(steps, old) {
			return nil, nil
		}
		return link(out, v)
	})
	if err != nil {
		return st, err
	}
	return out.state()
}

// lines returns the lines of source where v begins.
func (g *graph) lines(v *vertex, source []byte) []int {
	var lines []int
	for _, loc := range v.locations.GetLocations() {
		if string(g.infos[loc.SourceIndex].Data) != string(source) {
			continue
		}
		for _, r := range loc.Ranges {
			lines = append(lines, int(r.Start.Line))
		}
	}
	return lines
}

// linkable reports whether the file operation gives the same result in a layer of its own.
func linkable(op *pb.Op) bool {
	file := op.GetFile()
	if file == nil || len(file.Actions) == 0 {
		return false
	}
	for i, action := range file.Actions {
		if i > 0 && action.Input != int64(len(op.Inputs)+i-1) {
			return false // not one chain onto the root
		}
		switch a := action.Action.(type) {
		case *pb.FileAction_Mkdir:
			if namedOwner(a.Mkdir.Owner) {
				return false
			}
		case *pb.FileAction_Copy:
			if namedOwner(a.Copy.Owner) || changesParents(a.Copy) || !saysWhatItIs(a.Copy) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// namedOwner reports whether the owner is a name, which only the base's /etc/passwd can translate.
func namedOwner(owner *pb.ChownOpt) bool {
	byName := func(u *pb.UserOpt) bool {
		_, ok := u.GetUser().(*pb.UserOpt_ByName)
		return ok
	}
	return owner != nil && (byName(owner.User) || byName(owner.Group))
}

// changesParents reports whether directories above the destination, which a layer of its own has to create again, would get
// an owner or a mode that is meant for the copied files.
func changesParents(c *pb.FileActionCopy) bool {
	return (c.Owner != nil || c.Mode != -1) && path.Dir(strings.TrimSuffix(c.Dest, "/")) != "/"
}

// saysWhatItIs reports whether the destination means the same with and without the base: it is a directory by its spelling, or it
// has the source's own name or a file's extension.
func saysWhatItIs(c *pb.FileActionCopy) bool {
	if c.Dest == "/" || strings.HasSuffix(c.Dest, "/") || strings.HasSuffix(c.Dest, "/.") {
		return true
	}
	base := path.Base(c.Dest)
	return base == path.Base(c.Src) || path.Ext(base) != ""
}

// link puts the file operation v on scratch and merges it onto what it stood on.
func link(out *graph, v *vertex) (*pb.Input, error) {
	op := v.op
	file := op.GetFile()
	below := v.below()
	dropped := file.Actions[0].Input
	file.Actions[0].Input = int64(pb.Empty)
	if !readsInput(file, dropped) {
		op.Inputs = slices.Delete(op.Inputs, int(dropped), int(dropped)+1)
		shiftInputs(file, dropped)
	}
	layer, err := out.add(v)
	if err != nil {
		return nil, err
	}
	merge := &pb.Op{
		Inputs: []*pb.Input{below, {Digest: layer}},
		Op:     &pb.Op_Merge{Merge: &pb.MergeOp{Inputs: []*pb.MergeInput{{Input: 0}, {Input: 1}}}},
		// as every op that llb itself marshals
		Constraints: &pb.WorkerConstraints{},
	}
	metadata := &pb.OpMetadata{Caps: map[string]bool{string(pb.CapMergeOp): true}}
	if v.metadata != nil {
		metadata = proto.Clone(v.metadata).(*pb.OpMetadata)
		metadata.Caps = map[string]bool{string(pb.CapMergeOp): true}
		if name := metadata.Description["llb.customname"]; name != "" {
			metadata.Description["llb.customname"] = "[kubefile] link: " + name
		}
	}
	dgst, err := out.add(&vertex{op: merge, metadata: metadata, locations: v.locations})
	return &pb.Input{Digest: dgst}, err
}

func readsInput(file *pb.FileOp, input int64) bool {
	return slices.ContainsFunc(file.Actions, func(a *pb.FileAction) bool {
		return a.Input == input || a.SecondaryInput == input
	})
}

// shiftInputs renumbers the inputs of the actions after the given one was removed.
func shiftInputs(file *pb.FileOp, removed int64) {
	for _, a := range file.Actions {
		if a.Input > removed {
			a.Input--
		}
		if a.SecondaryInput > removed {
			a.SecondaryInput--
		}
	}
}
