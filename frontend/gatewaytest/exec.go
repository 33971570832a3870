package gatewaytest

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/continuity/fs"
	"github.com/moby/buildkit/solver/pb"
)

// Program is the program of an exec operation. Its error is the error of the operation.
type Program func(context.Context, *Process) error

// Executable is the content of a file that is the program of that name in [Config].
func Executable(name string) string { return "#!gatewaytest " + name + "\n" }

// Process is a program at work in the root file system and the mounts of an exec operation.
type Process struct {
	Args    []string
	Env     []string // with secrets
	Dir     string
	Network pb.NetMode
	mounts  []mount
}

// mount is a directory or a file of the test that the process sees as Dest.
type mount struct {
	dest   string
	path   string
	lower  *filesystem // the initial content of the directory; nil for a directory that is not a result
	output int64
}

// Path returns where a file of the process is for the test. Links are followed as the process would.
func (p *Process) Path(name string) (string, error) {
	if !path.IsAbs(name) {
		name = path.Join(p.Dir, name)
	}
	name = path.Clean(name)
	for _, m := range p.mounts {
		below, ok := strings.CutPrefix(name+"/", strings.TrimSuffix(m.dest, "/")+"/")
		if !ok {
			continue
		}
		if below == "" {
			return m.path, nil
		}
		return fs.RootPath(m.path, below)
	}
	return "", fmt.Errorf("no file system has %s", name)
}

// exec runs a program.
func (g *Gateway) exec(ctx context.Context, dgst string, op *pb.ExecOp, inputs []*filesystem) ([]*filesystem, error) {
	p := &Process{Args: op.Meta.Args, Env: slices.Clone(op.Meta.Env), Dir: path.Join("/", op.Meta.Cwd), Network: op.Network}
	for _, m := range op.Mounts {
		made, err := g.mount(ctx, m, inputs)
		if err != nil {
			return nil, fmt.Errorf("mounting %s: %w", m.Dest, err)
		}
		if made != nil {
			p.mounts = append(p.mounts, *made)
		}
	}
	for _, s := range op.Secretenv {
		value, ok := g.config.Secrets[s.ID]
		if !ok && !s.Optional {
			return nil, fmt.Errorf("secret %s: not found", s.ID)
		}
		if ok {
			p.Env = append(p.Env, s.Name+"="+value)
		}
	}
	outermost := func(a, b mount) int { return len(b.dest) - len(a.dest) }
	slices.SortStableFunc(p.mounts, outermost)
	program, err := g.program(p)
	if err != nil {
		return nil, err
	}
	if err := program(ctx, p); err != nil {
		return nil, fmt.Errorf("process %q did not complete successfully: %w", strings.Join(p.Args, " "), err)
	}
	var outputs []*filesystem
	for _, m := range p.mounts {
		if m.output < 0 || m.lower == nil {
			continue
		}
		outputs = append(outputs, make([]*filesystem, max(0, int(m.output)+1-len(outputs)))...)
		outputs[m.output] = m.lower.with(dgst+"/"+strconv.FormatInt(m.output, 10), m.path)
	}
	return outputs, nil
}

// program finds the program that a process runs, in PATH where its name has no slash.
func (g *Gateway) program(p *Process) (Program, error) {
	candidates := []string{p.Args[0]}
	if !strings.Contains(p.Args[0], "/") {
		candidates = nil
		for _, entry := range p.Env {
			if list, ok := strings.CutPrefix(entry, "PATH="); ok {
				for _, dir := range filepath.SplitList(list) {
					candidates = append(candidates, path.Join(dir, p.Args[0]))
				}
			}
		}
	}
	for _, name := range candidates {
		file, err := p.Path(name)
		if err != nil {
			return nil, err
		}
		content, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for name, program := range g.config.Programs {
			if string(content) == Executable(name) {
				return program, nil
			}
		}
		return nil, fmt.Errorf("exec: %q: exec format error", p.Args[0])
	}
	return nil, fmt.Errorf("exec: %q: no such file or directory", p.Args[0])
}

// mount makes what a process sees at a mount point; nil if that is nothing.
func (g *Gateway) mount(ctx context.Context, m *pb.Mount, inputs []*filesystem) (*mount, error) {
	made := &mount{dest: path.Join("/", m.Dest), output: int64(pb.SkipOutput)}
	switch m.MountType {
	case pb.MountType_BIND:
		return made, g.bind(ctx, m, inputs, made)
	case pb.MountType_TMPFS:
		var err error
		made.path, err = g.newDirectory()
		return made, err
	case pb.MountType_CACHE:
		var err error
		made.path, err = g.caches.get(g.root, m.CacheOpt.ID)
		return made, err
	case pb.MountType_SECRET:
		value, ok := g.config.Secrets[m.SecretOpt.ID]
		if !ok {
			if m.SecretOpt.Optional {
				return nil, nil
			}
			return nil, fmt.Errorf("secret %s: not found", m.SecretOpt.ID)
		}
		dir, err := g.newDirectory()
		if err != nil {
			return nil, err
		}
		made.path = filepath.Join(dir, "secret")
		return made, os.WriteFile(made.path, []byte(value), 0o600)
	}
	return nil, refused("mounts of the type %s", m.MountType)
}

// bind mounts a part of an input: a copy that becomes an output, or the input itself where nothing may be written.
func (g *Gateway) bind(ctx context.Context, m *pb.Mount, inputs []*filesystem, made *mount) error {
	input, err := g.input(m.Input, inputs)
	if err != nil {
		return err
	}
	var dir string
	if m.Readonly {
		dir, err = input.directory(ctx)
	} else {
		made.lower, made.output = input, m.Output
		dir, err = input.copy(ctx)
	}
	if err != nil {
		return err
	}
	made.path, err = fs.RootPath(dir, m.Selector)
	if err == nil {
		_, err = os.Lstat(made.path)
	}
	if err == nil && m.Selector != "" && m.Selector != "/" && made.output >= 0 {
		return refused("an output of a part of an input")
	}
	return visible(err, dir)
}
