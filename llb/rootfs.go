package llb

import (
	"context"
	"path"
	"strings"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
)

// rootfsDir returns the directory in the root of a cluster rootfs that files know by the name.
func rootfsDir(name string) (string, bool) {
	switch name {
	case "plugin": // what the old tool called it
		return "plugins", true
	case "applications", "bin", "charts", "etc", "images", "manifests", "plugins", "scripts", "statics":
		return name, true
	}
	return "", false
}

// InRootfs returns st with every copy to one of the rootfs's own directories going into that directory: "COPY shell.yaml plugin" makes
// plugins/shell.yaml, whether or not the base has the directory already.
func InRootfs(ctx context.Context, st llb.State) (llb.State, error) {
	g, err := readGraph(ctx, st)
	if err != nil {
		return st, err
	}
	steps := g.steps()
	edited := false
	out, err := g.rewrite(func(_ *graph, old string, v *vertex) (*pb.Input, error) {
		if !steps[old] {
			return nil, nil
		}
		for _, action := range v.op.GetFile().GetActions() {
			c := action.GetCopy()
			if c == nil || path.Dir(strings.TrimSuffix(c.Dest, "/")) != "/" {
				continue
			}
			if name, ok := rootfsDir(path.Base(c.Dest)); ok && c.Dest != "/"+name+"/" {
				c.Dest = "/" + name + "/"
				edited = true
			}
		}
		return nil, nil
	})
	if err != nil || !edited {
		return st, err
	}
	return out.state()
}

// steps are the operations that the file system of the head is made by, linked ones among them.
func (g *graph) steps() map[string]bool {
	steps := map[string]bool{}
	for _, dgst := range g.chain() {
		steps[dgst] = true
		if v := g.vertices[dgst]; v.op.GetMerge() != nil {
			for _, in := range v.op.Inputs[1:] {
				for linked := range g.at(in).steps() {
					steps[linked] = true
				}
			}
		}
	}
	return steps
}
