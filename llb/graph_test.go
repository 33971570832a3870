package llb

import (
	"bytes"
	"cmp"
	"slices"
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// foreign returns st as another program may have marshalled it: the fields of every operation in another order, and so other digests.
func foreign(t *testing.T, st llb.State) llb.State {
	t.Helper()
	def, err := st.Marshal(t.Context(), llb.Platform(amd64))
	if err != nil {
		t.Fatal(err)
	}
	theirs := map[string]string{}
	for i, dt := range def.Def {
		var op pb.Op
		if err := proto.Unmarshal(dt, &op); err != nil {
			t.Fatal(err)
		}
		for _, in := range op.Inputs {
			in.Digest = theirs[in.Digest]
		}
		marshalled, err := marshalOp(&op)
		if err != nil {
			t.Fatal(err)
		}
		type field struct {
			number protowire.Number
			bytes  []byte
		}
		var fields []field
		for len(marshalled) > 0 {
			number, _, n := protowire.ConsumeField(marshalled)
			if n < 0 {
				t.Fatal(protowire.ParseError(n))
			}
			fields, marshalled = append(fields, field{number, marshalled[:n]}), marshalled[n:]
		}
		slices.SortStableFunc(fields, func(a, b field) int { return cmp.Compare(b.number, a.number) })
		def.Def[i] = nil
		for _, f := range fields {
			def.Def[i] = append(def.Def[i], f.bytes...)
		}
		was, is := digest.FromBytes(dt), digest.FromBytes(def.Def[i])
		theirs[was.String()] = is.String()
		def.Metadata[is] = def.Metadata[was]
	}
	op, err := llb.NewDefinitionOp(def.ToPB())
	if err != nil {
		t.Fatal(err)
	}
	return llb.NewState(op)
}

// TestGraphsOfAnOlderBuildKit: the frontend's own image and the inputs of a build come marshalled from BuildKit.
func TestGraphsOfAnOlderBuildKit(t *testing.T) {
	image := foreign(t, toolboxImage())
	original, err := toolboxImage().Marshal(t.Context(), llb.Platform(amd64))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := image.Marshal(t.Context(), llb.Platform(amd64))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(original.Def[0], theirs.Def[0]) {
		t.Fatal("the other program writes the same bytes")
	}

	const dockerfile = "FROM scratch\nCOPY a b\nRUN make\n"
	with, err := WithToolbox(t.Context(), foreign(t, compile(t, dockerfile)), isCluster,
		func(*ocispec.Platform) (llb.State, error) { return image, nil })
	if err != nil {
		t.Fatal(err)
	}
	if want := withToolbox(t, compile(t, dockerfile)); !bytes.Equal(dump(t, with), dump(t, want)) {
		t.Errorf("the graph is\n%s\nnot\n%s", dump(t, with), dump(t, want))
	}

	const derived = "FROM kubernetes:v1\nCOPY a b\n"
	var bases [][]byte
	for _, st := range []llb.State{compile(t, derived), foreign(t, compile(t, derived))} {
		base, ok, err := Base(t.Context(), st)
		if err != nil || !ok {
			t.Fatalf("no base: %v", err)
		}
		bases = append(bases, dump(t, base))
	}
	if !bytes.Equal(bases[0], bases[1]) {
		t.Errorf("the base is\n%s\nnot\n%s", bases[1], bases[0])
	}
}
