package llb

import (
	"context"
	"strings"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// ToolboxDir is the directory of the toolbox in RUN steps, outside all directories of a cluster rootfs.
	ToolboxDir = "/.kubefile/toolbox"
	// toolboxSource is the toolbox's directory in the frontend's image.
	toolboxSource = "/toolbox"
	// launcher replaces /bin/sh; it prefers the rootfs's own shell.
	launcher = ToolboxDir + "/launch"

	binSh = "/bin/sh"
	// defaultPath is the default PATH of a container (BuildKit's system.DefaultPathEnvUnix).
	defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// WithToolbox returns st with the toolbox mounted, read-only, into every RUN step whose root begins at scratch, at a directory, or at a
// cluster image, because such a rootfs need not have a shell, and into every step that runs one of its programs. The rootfs's own programs
// come first: its /bin/sh where there is one, its directories in PATH. isCluster is called with an image's reference as it is in the build
// graph: with a digest, unless the image was given as a named context. toolbox gives the frontend's image for the platform that a step runs
// on.
func WithToolbox(ctx context.Context, st llb.State, isCluster func(image string) bool, toolbox func(*ocispec.Platform) (llb.State, error)) (llb.State, error) {
	g, err := readGraph(ctx, st)
	if err != nil {
		return st, err
	}
	edited := false
	out, err := g.rewrite(func(out *graph, old string, v *vertex) (*pb.Input, error) {
		exec := v.op.GetExec()
		if exec == nil || !g.bareRoot(old, isCluster) && !strings.HasPrefix(exec.Meta.Args[0], ToolboxDir+"/") {
			return nil, nil
		}
		edited = true
		return nil, mountToolbox(ctx, out, v.op, toolbox)
	})
	if err != nil || !edited {
		return st, err
	}
	return out.state()
}

// bareRoot reports whether the root file system of the exec begins at something that needs the toolbox.
func (g *graph) bareRoot(exec string, isCluster func(image string) bool) bool {
	root := g.at(&pb.Input{Digest: exec}).root()
	image, ok := root.image()
	return !ok || isCluster(image)
}

func mountToolbox(ctx context.Context, out *graph, op *pb.Op, toolbox func(*ocispec.Platform) (llb.State, error)) error {
	var platform *ocispec.Platform
	if op.Platform != nil {
		p := op.Platform.Spec()
		platform = &p
	}
	st, err := toolbox(platform)
	if err != nil {
		return err
	}
	in, err := out.addState(ctx, st)
	if err != nil {
		return err
	}
	exec := op.GetExec()
	exec.Mounts = append(exec.Mounts, &pb.Mount{
		Input:    int64(len(op.Inputs)),
		Selector: toolboxSource,
		Dest:     ToolboxDir,
		Output:   int64(pb.SkipOutput),
		Readonly: true,
	})
	op.Inputs = append(op.Inputs, in)
	exec.Meta.Env = appendPath(exec.Meta.Env, ToolboxDir+"/bin")
	if args := exec.Meta.Args; args[0] == binSh {
		args[0] = launcher
	}
	return nil
}

func appendPath(env []string, dir string) []string {
	for i, kv := range env {
		if value, ok := strings.CutPrefix(kv, "PATH="); ok {
			env[i] = "PATH=" + strings.TrimPrefix(value+":"+dir, ":")
			return env
		}
	}
	return append(env, "PATH="+defaultPath+":"+dir)
}
