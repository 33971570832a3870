package llb

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
	"github.com/moby/buildkit/solver/pb"
)

// ChartProgram is the program of a RUN that represents an instruction that fetches charts. No image has it: [WithCharts] puts another step
// in its place. What follows are --checksum=DIGEST, sources, in which variables are replaced, and a directory.
const ChartProgram = "/.kubefile/chart"

// blobCache is the id of the cache mount of [FetchBlobs].
const blobCache = "kubefile/blobs"

// WithCharts returns st with every step that fetches charts done in the frontend's own image, self, and what it fetched copied to where the
// step wants it. Such a step reads the user's credentials, so nothing of the base is in it: neither its files nor its environment, which
// could name a proxy and certificates. The build's own proxy settings, network and hosts hold.
//
// Any other step that asks for those credentials, as an ONBUILD of a base may, is an error.
func WithCharts(ctx context.Context, st, self llb.State) (llb.State, error) {
	g, err := readGraph(ctx, st)
	if err != nil {
		return st, err
	}
	edited := false
	out, err := g.rewrite(func(out *graph, _ string, v *vertex) (*pb.Input, error) {
		exec := v.op.GetExec()
		switch {
		case exec == nil:
			return nil, nil
		case exec.Meta.Args[0] != ChartProgram:
			return nil, v.located(checkMounts(exec))
		}
		edited = true
		in, err := fetchCharts(ctx, out, v, self)
		return in, v.located(err)
	})
	if err != nil || !edited {
		return st, err
	}
	return out.state()
}

// fetchCharts adds the step that replaces v, and the copy of its result onto the base of v.
func fetchCharts(ctx context.Context, out *graph, v *vertex, self llb.State) (*pb.Input, error) {
	exec := v.op.GetExec()
	args, directory, err := chartArguments(exec.Meta)
	if err != nil {
		return nil, err
	}
	below, err := out.at(v.below()).state()
	if err != nil {
		return nil, err
	}
	name := llb.WithCustomName(v.metadata.GetDescription()["llb.customname"])
	opts := []llb.RunOption{
		llb.Args(append([]string{program, "chart"}, args...)),
		llb.ReadonlyRootFS(),
		llb.Network(exec.Network),
		llb.AddSecret(DockerConfig, llb.SecretID(DockerConfigSecret), llb.SecretOptional),
		name,
	}
	if p := exec.Meta.ProxyEnv; p != nil {
		opts = append(opts, llb.WithProxy(llb.ProxyEnv{HTTPProxy: p.HttpProxy, HTTPSProxy: p.HttpsProxy, FTPProxy: p.FtpProxy, NoProxy: p.NoProxy, AllProxy: p.AllProxy}))
	}
	for _, h := range exec.Meta.ExtraHosts {
		opts = append(opts, llb.AddExtraHost(h.Host, net.ParseIP(h.IP)))
	}
	if v.metadata.GetIgnoreCache() {
		opts = append(opts, llb.IgnoreCache)
	}
	fetched, err := out.addState(ctx, self.Run(opts...).AddMount(OutputDir, llb.Scratch()))
	if err != nil {
		return nil, err
	}
	out.vertices[fetched.Digest].locations = v.locations
	charts, err := out.at(fetched).state()
	if err != nil {
		return nil, err
	}
	copied, err := out.addState(ctx, below.File(
		llb.Copy(charts, "/", directory, &llb.CopyInfo{CopyDirContentsOnly: true, CreateDestPath: true}), name))
	if err != nil {
		return nil, err
	}
	out.vertices[copied.Digest].locations = v.locations
	return copied, nil
}

// chartArguments returns the arguments for the step, with variables replaced as the instruction sees them, and the directory that the
// charts belong in.
func chartArguments(meta *pb.Meta) (args []string, directory string, err error) {
	lex, env := shell.NewLex('\\'), shell.EnvsFromSlice(meta.Env)
	for _, arg := range meta.Args[1:] {
		word, _, err := lex.ProcessWord(arg, env)
		if err != nil {
			return nil, "", fmt.Errorf("reading %s: %w", arg, err)
		}
		args = append(args, word)
	}
	if len(args) < 2 {
		return nil, "", fmt.Errorf("%s: no source or no directory", ChartProgram)
	}
	last := len(args) - 1
	return append(slices.Clip(args[:last]), OutputDir), args[last], nil
}

// checkMounts refuses what only steps of the frontend may have.
func checkMounts(exec *pb.ExecOp) error {
	for _, m := range exec.Mounts {
		if m.SecretOpt.GetID() == DockerConfigSecret {
			return fmt.Errorf("the secret %s is for the steps of the frontend only, because a base image could send it anywhere; pass a secret of your own to a RUN: --secret id=NAME,src=FILE",
				DockerConfigSecret)
		}
		if strings.TrimPrefix(m.CacheOpt.GetID(), "/") == blobCache {
			return fmt.Errorf("the cache %s is for the steps of the frontend only; use a cache with another id", blobCache)
		}
	}
	for _, s := range exec.Secretenv {
		if s.ID == DockerConfigSecret {
			return fmt.Errorf("the secret %s is for the steps of the frontend only; pass a secret of your own to a RUN: --secret id=NAME,src=FILE", DockerConfigSecret)
		}
	}
	return nil
}

// located gives an error the place of a vertex.
func (v *vertex) located(err error) error {
	if err == nil {
		return nil
	}
	return parser.WithLocation(err, v.ranges())
}

// ranges are the places of a vertex in the Kubefile.
func (v *vertex) ranges() []parser.Range {
	var ranges []parser.Range
	for _, loc := range v.locations.GetLocations() {
		for _, r := range loc.Ranges {
			ranges = append(ranges, parser.Range{
				Start: parser.Position{Line: int(r.Start.Line), Character: int(r.Start.Character)},
				End:   parser.Position{Line: int(r.End.Line), Character: int(r.End.Character)},
			})
		}
	}
	return ranges
}
