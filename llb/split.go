package llb

import (
	"context"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/protobuf/proto"

	"github.com/kubefile/kubefile/imagespec"
)

// RootfsLayers returns how many layers a cluster image has below its image layers. It returns false for any other image, and for one that
// has a rootfs layer above an image layer.
type RootfsLayers func(image string, platform *ocispec.Platform) (int, bool)

// ClusterBase is the cluster image that the steps of a Kubefile run on.
type ClusterBase struct {
	Whole  llb.State // with its image layers
	Rootfs llb.State // without
}

// With returns the whole base with what st changed of its rootfs on top. Without a base it returns st.
//
// The base's image layers stay below what st changed. To put them on top, the difference between the whole base and its rootfs would have
// to be exported, and BuildKit records each layer of an exported difference under the chain of layers that ends with it in the base. A
// later pull of that chain, by this or another frontend, may get that single layer instead of the chain.
func (b *ClusterBase) With(ctx context.Context, st llb.State) (llb.State, error) {
	if b == nil {
		return st, nil
	}
	rootfs, err := readGraph(ctx, b.Rootfs)
	if err != nil {
		return st, err
	}
	own, err := readGraph(ctx, st)
	if err != nil {
		return st, err
	}
	if own.head != nil && rootfs.head != nil && own.head.Digest == rootfs.head.Digest && own.head.Index == rootfs.head.Index {
		return b.Whole, nil // an empty difference would be a layer
	}
	changes := llb.Diff(b.Rootfs, st, internal("take what is above the base"))
	return llb.Merge([]llb.State{b.Whole, changes}, internal("put it onto the whole base")), nil
}

// WithoutImages returns st with every step that continues a cluster image put onto that image's rootfs layers alone, and the cluster image
// that the head begins with, or nil. BuildKit pulls and unpacks a base from the bottom up to what a step stands on, and so no RUN
// needs the embedded images.
//
// Whoever reads a stage or an image (COPY --from, RUN --mount=from) below /registry, or as a whole, reads it with the image layers.
// If a copy onto the head's own base reads it so, st stays as it is. The caller has checked that the worker can merge, diff and
// limit layers.
func WithoutImages(ctx context.Context, st llb.State, layers RootfsLayers) (llb.State, *ClusterBase, error) {
	g, err := readGraph(ctx, st)
	if err != nil || g.head == nil {
		return st, nil, err
	}
	s := &split{g: g, layers: layers, rootfs: map[string]*pb.Input{}, images: map[string]*pb.Input{}}
	out, err := g.rewrite(func(out *graph, old string, v *vertex) (*pb.Input, error) {
		return s.edit(ctx, out, old, v)
	})
	if err != nil || len(s.rootfs) == 0 {
		return st, nil, err
	}
	head := g.head.Digest
	if s.rootfs[head] == nil {
		chain := g.chain()
		if s.rootfs[chain[len(chain)-1]] != nil {
			return st, nil, nil
		}
		st, err = out.state()
		return st, nil, err
	}
	return s.onRootfs(out, head)
}

// onRootfs returns the head on the rootfs layers of its base, and the base.
func (s *split) onRootfs(out *graph, head string) (st llb.State, base *ClusterBase, err error) {
	chain := s.g.chain()
	bottom := chain[len(chain)-1]
	base = &ClusterBase{}
	for _, part := range []struct {
		of *pb.Input
		to *llb.State
	}{{&pb.Input{Digest: bottom}, &base.Whole}, {s.rootfs[bottom], &base.Rootfs}, {s.rootfs[head], &st}} {
		if *part.to, err = out.at(part.of).state(); err != nil {
			return st, nil, err
		}
	}
	return st, base, nil
}

// split is a rewrite of a graph in which file systems that begin at a cluster image are there twice: without its image layers, and with
// them on top.
type split struct {
	g      *graph
	layers RootfsLayers
	rootfs map[string]*pb.Input // by old digest: the file system without the image layers
	images map[string]*pb.Input // by old digest: these
}

func (s *split) edit(ctx context.Context, out *graph, old string, v *vertex) (*pb.Input, error) {
	if image, ok := v.image(); ok {
		return nil, s.source(ctx, out, old, v, image)
	}
	inputs := slices.Clip(s.g.vertices[old].op.Inputs)
	below := v.belowIndex()
	onRootfs := below >= 0 && s.rootfs[inputs[below].Digest] != nil && v.hasOneOutput()
	if onRootfs && readsStore(v.op, below) {
		if onRootfs = readApart(v.op, below); onRootfs {
			inputs = append(inputs, inputs[below])
		}
	}
	for i, in := range inputs {
		if rootfs := s.rootfs[in.Digest]; rootfs != nil && (i == below && onRootfs || i != below && !readsStore(v.op, i)) {
			v.op.Inputs[i] = rootfs
		}
	}
	if !onRootfs {
		return nil, nil
	}
	dgst, err := out.add(v)
	if err != nil {
		return nil, err
	}
	s.rootfs[old] = &pb.Input{Digest: dgst}
	s.images[old] = s.images[inputs[below].Digest]
	return combine(ctx, out, s.rootfs[old], s.images[old], func(rootfs, images llb.State) llb.State {
		return llb.Merge([]llb.State{rootfs, images}, internal("put the base's images on top"))
	})
}

// source adds the image's two parts to the graph, if it has them.
func (s *split) source(ctx context.Context, out *graph, old string, v *vertex, image string) error {
	var platform *ocispec.Platform
	if v.op.Platform != nil {
		p := v.op.Platform.Spec()
		platform = &p
	}
	n, ok := s.layers(image, platform)
	if !ok {
		return nil
	}
	whole, err := out.add(v)
	if err != nil {
		return err
	}
	rootfs, err := out.add(limited(v, n))
	if err != nil {
		return err
	}
	s.rootfs[old] = &pb.Input{Digest: rootfs}
	s.images[old], err = combine(ctx, out, s.rootfs[old], &pb.Input{Digest: whole}, func(rootfs, whole llb.State) llb.State {
		return llb.Diff(rootfs, whole, internal("take the base's images"))
	})
	return err
}

// combine adds what with makes of two file systems of the graph.
func combine(ctx context.Context, out *graph, a, b *pb.Input, with func(a, b llb.State) llb.State) (*pb.Input, error) {
	first, err := out.at(a).state()
	if err != nil {
		return nil, err
	}
	second, err := out.at(b).state()
	if err != nil {
		return nil, err
	}
	return out.addState(ctx, with(first, second))
}

// limited is the image that v pulls with its n lowest layers only.
func limited(v *vertex, n int) *vertex {
	op := proto.Clone(v.op).(*pb.Op)
	source := op.GetSource()
	limit := pb.AttrImageLayerLimit
	if strings.HasPrefix(source.Identifier, "oci-layout:") {
		limit = pb.AttrOCILayoutLayerLimit
	}
	if source.Attrs == nil {
		source.Attrs = map[string]string{}
	}
	source.Attrs[limit] = strconv.Itoa(n)
	metadata := &pb.OpMetadata{}
	if v.metadata != nil {
		metadata = proto.Clone(v.metadata).(*pb.OpMetadata)
	}
	if metadata.Caps == nil {
		metadata.Caps = map[string]bool{}
	}
	metadata.Caps[string(pb.CapSourceImageLayerLimit)] = true
	return &vertex{op: op, metadata: metadata, locations: v.locations}
}

// hasOneOutput reports whether the op's only result is the file system that it continues.
func (v *vertex) hasOneOutput() bool {
	exec := v.op.GetExec()
	return exec == nil || !slices.ContainsFunc(exec.Mounts, func(m *pb.Mount) bool {
		return m.Output > 0 || m.Dest != pb.RootMount && m.Output == 0
	})
}

// readsStore reports whether the op may read embedded images out of an input, other than by continuing it.
func readsStore(op *pb.Op, input int) bool {
	number := int64(input)
	switch op := op.Op.(type) {
	case *pb.Op_Exec:
		return slices.ContainsFunc(op.Exec.Mounts, func(m *pb.Mount) bool {
			return m.Input == number && m.Dest != pb.RootMount && leadsToStore(m.Selector, false)
		})
	case *pb.Op_File:
		for i, action := range op.File.Actions {
			if c := action.GetCopy(); c != nil && action.SecondaryInput == number && leadsToStore(c.Src, c.AllowWildcard) {
				return true
			}
			if i > 0 && action.Input == number {
				return true
			}
		}
		return false
	case *pb.Op_Merge:
		return op.Merge.Inputs[0].Input != number
	}
	return true
}

// readApart gives those mounts of an exec that may read embedded images out of its root's input an input of their own. It is false for
// any other op.
func readApart(op *pb.Op, root int) bool {
	exec := op.GetExec()
	if exec == nil {
		return false
	}
	for _, m := range exec.Mounts {
		if m.Input == int64(root) && m.Dest != pb.RootMount && leadsToStore(m.Selector, false) {
			m.Input = int64(len(op.Inputs))
		}
	}
	op.Inputs = append(op.Inputs, op.Inputs[root])
	return true
}

// leadsToStore reports whether a path that is read is the embedded store, in it, or above it.
func leadsToStore(name string, wildcard bool) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path.Clean("/"+name), "/"), "/")
	return first == "" || first == imagespec.RegistryDir || wildcard && strings.ContainsAny(first, `*?[\`)
}
