//go:build lab

package build

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/solver/pb"
	"github.com/tonistiigi/fsutil"

	"github.com/kubefile/kubefile/frontend/gatewaytest"
)

// conformance are build graphs, and a part of the error that each gives; "" for those that have a result.
func conformance(t *testing.T, session string) map[string]struct {
	state llb.State
	err   string
} {
	t.Helper()
	local := func(opts ...llb.LocalOption) llb.State {
		return llb.Local("context", append(opts, llb.SessionID(session))...)
	}
	at := llb.WithCreatedTime(time.Unix(1, 0))
	tree := llb.Scratch().File(llb.Mkdir("/a/b", 0o750, llb.WithParents(true), at).
		Mkfile("/a/one", 0o640, []byte("one"), at).Mkfile("/a/b/two.txt", 0o600, []byte("two"), at).Symlink("b/two.txt", "/a/link"))
	other := llb.Scratch().File(llb.Mkdir("/a", 0o755).Mkfile("/a/one", 0o644, []byte("other")).Mkfile("/three", 0o644, nil))
	removed := tree.File(llb.Rm("/a/one"))
	source := llb.NewSourceMap(nil, "Kubefile", "Kubefile", []byte("FROM scratch\nCOPY nothing /\n"))
	dir := func(info llb.CopyInfo) *llb.CopyInfo { return &info }
	return map[string]struct {
		state llb.State
		err   string
	}{
		"files":              {state: tree},
		"file over a file":   {state: tree.File(llb.Mkfile("/a/one", 0o600, []byte("new")))},
		"no parent":          {tree.File(llb.Mkdir("/x/y", 0o755)), "no such file or directory"},
		"remove":             {state: removed},
		"remove nothing":     {tree.File(llb.Rm("/none")), "no such file or directory"},
		"remove if there":    {state: tree.File(llb.Rm("/none", llb.WithAllowNotFound(true)))},
		"remove by pattern":  {state: tree.File(llb.Rm("/a/[ob]*", llb.WithAllowWildcard(true)))},
		"remove a dead link": {tree.File(llb.Rm("/a/*", llb.WithAllowWildcard(true))), "no such file or directory"},
		"copy a file":        {state: other.File(llb.Copy(tree, "/a/one", "/four"))},
		"copy into":          {state: other.File(llb.Copy(tree, "/a/one", "/a/"))},
		"copy to new":        {state: other.File(llb.Copy(tree, "/a/one", "/x/y/z", dir(llb.CopyInfo{CreateDestPath: true})))},
		"copy without path":  {other.File(llb.Copy(tree, "/a/one", "/x/y/z")), "no such file or directory"},
		"copy a directory":   {state: other.File(llb.Copy(tree, "/a", "/a"))},
		"copy its content":   {state: other.File(llb.Copy(tree, "/a", "/a", dir(llb.CopyInfo{CopyDirContentsOnly: true})))},
		"copy by pattern":    {state: other.File(llb.Copy(tree, "/a/*", "/a/", dir(llb.CopyInfo{AllowWildcard: true})))},
		"copy no match":      {other.File(llb.Copy(tree, "/none*", "/a/", dir(llb.CopyInfo{AllowWildcard: true}))), "not found"},
		"copy maybe none":    {state: other.File(llb.Copy(tree, "/none*", "/a/", dir(llb.CopyInfo{AllowWildcard: true, AllowEmptyWildcard: true})))},
		"copy nothing":       {other.File(llb.Copy(tree, "/nothing", "/a/"), source.Location(ranges(2))), `"/nothing": not found`},
		"copy with filters":  {state: other.File(llb.Copy(tree, "/", "/", dir(llb.CopyInfo{CopyDirContentsOnly: true, IncludePatterns: []string{"**/*.txt"}})))},
		"copy without some":  {state: other.File(llb.Copy(tree, "/", "/", dir(llb.CopyInfo{CopyDirContentsOnly: true, ExcludePatterns: []string{"**/*.txt"}})))},
		"copy by a link":     {state: other.File(llb.Copy(tree, "/a/link", "/four", dir(llb.CopyInfo{FollowSymlinks: true})))},
		"copy a link":        {state: other.File(llb.Copy(tree, "/a/link", "/four"))},
		"copy with a mode":   {state: other.File(llb.Copy(tree, "/a", "/m", dir(llb.CopyInfo{Mode: &llb.ChmodOpt{Mode: 0o700}})))},
		"unpack":             {state: other.File(llb.Copy(local(), "/archive.tar", "/u/", dir(llb.CopyInfo{AttemptUnpack: true, CreateDestPath: true})))},
		"unpack no archive":  {state: other.File(llb.Copy(local(), "/x.yaml", "/u/", dir(llb.CopyInfo{AttemptUnpack: true, CreateDestPath: true})))},
		"merge":              {state: llb.Merge([]llb.State{tree, other})},
		"merge of a removal": {state: llb.Merge([]llb.State{tree, llb.Diff(tree, removed)})},
		"diff":               {state: llb.Diff(tree, tree.File(llb.Mkfile("/a/new", 0o644, nil)))},
		"diff of strangers":  {state: llb.Diff(other, tree)},
		"local":              {state: local()},
		"local, excluded":    {state: local(llb.ExcludePatterns([]string{"sub", "!sub/kept"}))},
		"local, followed":    {state: local(llb.FollowPaths([]string{"x.yaml", "none"}))},
		"unknown image":      {llb.Image("docker.io/library/does-not-exist:v1"), "docker.io/library/does-not-exist:v1: not found"},
	}
}

func ranges(line int) []*pb.Range {
	return []*pb.Range{{Start: &pb.Position{Line: int32(line)}, End: &pb.Position{Line: int32(line)}}}
}

// TestTheTestGatewayIsLikeBuildKit: both make the same files of the same build graphs, and fail at the same ones.
func TestTheTestGatewayIsLikeBuildKit(t *testing.T) {
	dir := files{"x.yaml": "x", "sub/kept": "kept", "sub/gone": "gone", "archive.tar": tarball(t, "in/archive", "x")}.write(t)
	fake := gatewaytest.New(t, gatewaytest.Config{Locals: map[string]string{"context": dir}})
	want := map[string]string{}
	onBuildKit(t, dir, func(ctx context.Context, c gateway.Client) {
		for name, tt := range conformance(t, c.BuildOpts().SessionID) {
			want[name] = outcome(ctx, c, tt.state, tt.err)
		}
	})
	for name, tt := range conformance(t, fake.BuildOpts().SessionID) {
		if got := outcome(t.Context(), fake, tt.state, tt.err); got != want[name] {
			t.Errorf("%s: gatewaytest has\n%s\nBuildKit has\n%s", name, got, want[name])
		}
	}
}

// onBuildKit calls do with the gateway of the lab's BuildKit.
func onBuildKit(t *testing.T, dir string, do func(context.Context, gateway.Client)) {
	t.Helper()
	c, err := client.New(t.Context(), lab.BuildKitHost)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sent, err := fsutil.NewFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Build(t.Context(), client.SolveOpt{LocalMounts: map[string]fsutil.FS{"context": sent}}, "",
		func(ctx context.Context, c gateway.Client) (*gateway.Result, error) {
			do(ctx, c)
			return gateway.NewResult(), nil
		}, nil)
	if err != nil {
		t.Fatal(err)
	}
}

// outcome is what a gateway makes of a build graph: its files, or that it fails as wanted, and for which lines.
func outcome(ctx context.Context, c gateway.Client, st llb.State, failure string) string {
	files, err := evaluate(ctx, c, st)
	switch {
	case err == nil:
		return strings.Join(files, "\n")
	case failure == "" || !strings.Contains(err.Error(), failure):
		return "fails with " + err.Error()
	}
	lines := 0
	for _, source := range errdefs.Sources(err) {
		for _, r := range source.Ranges {
			lines += int(r.Start.Line)
		}
	}
	return fmt.Sprintf("fails as wanted, at %d", lines)
}

func evaluate(ctx context.Context, c gateway.Client, st llb.State) ([]string, error) {
	def, err := st.Marshal(ctx)
	if err != nil {
		return nil, err
	}
	res, err := c.Solve(ctx, gateway.SolveRequest{Definition: def.ToPB(), Evaluate: true})
	if err != nil {
		return nil, err
	}
	ref, err := res.SingleRef()
	if err != nil {
		return nil, err
	}
	files, err := filesBelow(ctx, ref, "/")
	slices.Sort(files)
	return files, err
}

// filesBelow describes all files below a directory.
func filesBelow(ctx context.Context, ref gateway.Reference, dir string) ([]string, error) {
	entries, err := ref.ReadDir(ctx, gateway.ReadDirRequest{Path: dir})
	if err != nil {
		return nil, err
	}
	var all []string
	for _, e := range entries {
		name := path.Join(dir, e.Path)
		mode := fs.FileMode(e.Mode)
		content := ""
		switch {
		case mode.IsDir():
			below, err := filesBelow(ctx, ref, name)
			if err != nil {
				return nil, err
			}
			all = append(all, below...)
		case mode.IsRegular():
			dt, err := ref.ReadFile(ctx, gateway.ReadRequest{Filename: name})
			if err != nil {
				return nil, err
			}
			content = string(dt)
		}
		all = append(all, fmt.Sprintf("%s %s %q %q", name, mode, e.Linkname, content))
	}
	return all, nil
}
