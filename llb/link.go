package llb

import (
	"context"
	"slices"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/apicaps"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/protobuf/proto"
)

// RootfsTree returns the tree of an image's rootfs: a compressed tar archive that has every file's name and kind. It is false for an image
// that has none.
type RootfsTree func(image string, platform *ocispec.Platform) ([]byte, bool)

// Link is the result of [Linked].
type Link struct {
	State llb.State
	// Tree has the same file names and kinds as State. It is nil if only the base has this information, and State itself does not need the
	// base.
	Tree *llb.State
}

// Linked returns st with its COPY, ADD and WORKDIR steps as layers of their own (as COPY --link makes them), if that spares BuildKit
// pulling the base: when st begins at an image whose tree is known and every step can be linked. source is the text of the
// Kubefile; plain reports whether the user asked for a plain copy on a line of it.
//
// What a step makes depends on the directories, links and files that are there already, and never on what is in them. So each step runs on
// the base's tree instead of the base, and what it changes there is its layer.
func Linked(ctx context.Context, st llb.State, tree RootfsTree, source []byte, plain func(line int) bool) (Link, error) {
	g, err := readGraph(ctx, st)
	if err != nil {
		return Link{}, err
	}
	if _, ok, err := Base(ctx, st); err != nil || !ok {
		return Link{State: st, Tree: &st}, err
	}
	chain := g.chain()
	l := &linker{g: g, steps: chain[:len(chain)-1], onTree: map[string]*pb.Input{}}
	data, ok := treeOf(g.root(), tree)
	if !ok || !l.linkable(source, plain) {
		link := Link{State: st}
		if slices.ContainsFunc(l.steps, func(dgst string) bool { return g.vertices[dgst].op.GetMerge() == nil }) {
			link.Tree = &st
		}
		return link, nil
	}
	out, err := g.rewrite(func(out *graph, old string, v *vertex) (*pb.Input, error) {
		if old == chain[len(chain)-1] {
			l.onTree[old], err = out.addState(ctx, layOut(data))
			return nil, err
		}
		return l.edit(out, old, v)
	})
	if err != nil {
		return Link{}, err
	}
	onTree, err := out.at(l.onTree[g.head.Digest]).state()
	if err != nil {
		return Link{}, err
	}
	st, err = out.state()
	return Link{State: st, Tree: &onTree}, err
}

// layOut is a file system with the files of a tree.
func layOut(tree []byte) llb.State {
	const name = "/rootfs.tar.gz"
	archive := llb.Scratch().File(llb.Mkfile(name, 0o644, tree), internal("write the base's list of files"))
	return llb.Scratch().File(llb.Copy(archive, name, "/", &llb.CopyInfo{AttemptUnpack: true}), internal("lay out the base's directories"))
}

// linker is a rewrite of a graph in which the steps of the head run on the tree of their base.
type linker struct {
	g      *graph
	steps  []string             // the head first
	onTree map[string]*pb.Input // by old digest: the same file system on the tree
}

// treeOf is the tree of the image that root pulls.
func treeOf(root *vertex, tree RootfsTree) ([]byte, bool) {
	image, _ := root.image()
	var platform *ocispec.Platform
	if root.op.Platform != nil {
		p := root.op.Platform.Spec()
		platform = &p
	}
	return tree(image, platform)
}

// linkable reports whether every step can run on the tree.
func (l *linker) linkable(source []byte, plain func(line int) bool) bool {
	for _, dgst := range l.steps {
		v := l.g.vertices[dgst]
		if v.op.GetMerge() != nil { // linked by the user
			continue
		}
		if !linkable(v) || slices.ContainsFunc(l.g.lines(v, source), plain) {
			return false
		}
	}
	return true
}

// edit adds the step's run on the tree to the graph, and returns its layer merged onto what it stood on.
func (l *linker) edit(out *graph, old string, v *vertex) (*pb.Input, error) {
	if !slices.Contains(l.steps, old) {
		return nil, nil
	}
	below := l.onTree[l.g.vertices[old].below().Digest]
	onTree := &vertex{op: proto.Clone(v.op).(*pb.Op), metadata: v.metadata, locations: v.locations}
	onTree.op.Inputs[v.belowIndex()] = below
	dgst, err := out.add(onTree)
	if err != nil {
		return nil, err
	}
	l.onTree[old] = &pb.Input{Digest: dgst}
	if v.op.GetMerge() != nil {
		return nil, nil
	}
	layer, err := out.add(v.combined(pb.CapDiffOp, "layer of", &pb.Op{
		Inputs: []*pb.Input{below, l.onTree[old]},
		Op:     &pb.Op_Diff{Diff: &pb.DiffOp{Lower: &pb.LowerDiffInput{Input: 0}, Upper: &pb.UpperDiffInput{Input: 1}}},
	}))
	if err != nil {
		return nil, err
	}
	merged, err := out.add(v.combined(pb.CapMergeOp, "link", &pb.Op{
		Inputs: []*pb.Input{v.below(), {Digest: layer}},
		Op:     &pb.Op_Merge{Merge: &pb.MergeOp{Inputs: []*pb.MergeInput{{Input: 0}, {Input: 1}}}},
	}))
	return &pb.Input{Digest: merged}, err
}

// combined is an operation that is part of linking v.
func (v *vertex) combined(capability apicaps.CapID, what string, op *pb.Op) *vertex {
	op.Constraints = &pb.WorkerConstraints{} // as every op that llb itself marshals
	metadata := &pb.OpMetadata{}
	if v.metadata != nil {
		metadata = proto.Clone(v.metadata).(*pb.OpMetadata)
	}
	metadata.Caps = map[string]bool{string(capability): true}
	if name := metadata.Description["llb.customname"]; name != "" {
		metadata.Description["llb.customname"] = "[kubefile] " + what + ": " + name
	}
	return &vertex{op: op, metadata: metadata, locations: v.locations}
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

// linkable reports whether the file operation has the same result on the tree of its base.
func linkable(v *vertex) bool {
	file := v.op.GetFile()
	if file == nil || len(file.Actions) == 0 {
		return false
	}
	for i, action := range file.Actions {
		if i > 0 && action.Input != int64(len(v.op.Inputs)+i-1) {
			return false // not one chain onto the root
		}
		switch a := action.Action.(type) {
		case *pb.FileAction_Mkdir:
			if namedOwner(a.Mkdir.Owner) {
				return false
			}
		case *pb.FileAction_Copy:
			// An archive may have hard links to files of the base.
			if namedOwner(a.Copy.Owner) || a.Copy.AttemptUnpackDockerCompatibility || action.SecondaryInput == int64(v.belowIndex()) {
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
