package gatewaytest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/containerd/continuity/fs"
	"github.com/moby/buildkit/solver/pb"
	fscopy "github.com/tonistiigi/fsutil/copy"
)

// fileOperation is a file operation at work.
type fileOperation struct {
	gateway *Gateway
	inputs  []*filesystem
	actions []*fileAction // that are done
}

// fileAction is the result of an action: a directory that began as the files of base.
type fileAction struct {
	base *filesystem
	dir  string
	kept bool // nothing may change dir any longer
}

// files runs the actions of a file operation. Each output is one layer.
func (g *Gateway) files(ctx context.Context, dgst string, op *pb.FileOp, inputs []*filesystem) ([]*filesystem, error) {
	f := &fileOperation{gateway: g, inputs: inputs}
	var outputs []*filesystem
	for n, action := range op.Actions {
		result, err := f.begin(ctx, action.Input)
		if err != nil {
			return nil, err
		}
		if err := f.run(ctx, action, result.dir); err != nil {
			return nil, err
		}
		f.actions = append(f.actions, result)
		if action.Output < 0 {
			continue
		}
		result.kept = true
		outputs = append(outputs, make([]*filesystem, max(0, int(action.Output)+1-len(outputs)))...)
		outputs[action.Output] = result.base.with(dgst+"/"+strconv.Itoa(n), result.dir)
	}
	return outputs, nil
}

// begin returns a directory for an action that continues an input or an earlier action.
func (f *fileOperation) begin(ctx context.Context, number int64) (*fileAction, error) {
	if n := int(number) - len(f.inputs); n >= 0 && n < len(f.actions) {
		before := f.actions[n]
		if before.kept {
			return nil, refused("an action on the result of another one that is also used elsewhere")
		}
		before.kept = true
		return &fileAction{base: before.base, dir: before.dir}, nil
	}
	base, err := f.gateway.input(number, f.inputs)
	if err != nil {
		return nil, err
	}
	dir, err := base.copy(ctx)
	return &fileAction{base: base, dir: dir}, err
}

// source returns the directory that an action reads.
func (f *fileOperation) source(ctx context.Context, number int64) (string, error) {
	if n := int(number) - len(f.inputs); n >= 0 && n < len(f.actions) {
		return f.actions[n].dir, nil
	}
	in, err := f.gateway.input(number, f.inputs)
	if err != nil {
		return "", err
	}
	return in.directory(ctx)
}

func (f *fileOperation) run(ctx context.Context, action *pb.FileAction, dir string) error {
	switch a := action.Action.(type) {
	case *pb.FileAction_Mkdir:
		return makeDirectory(dir, a.Mkdir)
	case *pb.FileAction_Mkfile:
		return makeFile(dir, a.Mkfile)
	case *pb.FileAction_Symlink:
		return makeSymlink(dir, a.Symlink)
	case *pb.FileAction_Rm:
		return remove(dir, a.Rm)
	case *pb.FileAction_Copy:
		source, err := f.source(ctx, action.SecondaryInput)
		if err != nil {
			return err
		}
		return copyFiles(ctx, source, dir, a.Copy)
	}
	return refused("the file action %T", action.Action)
}

// setTime gives a file its time; -1 leaves it.
func setTime(name string, timestamp int64) error {
	return fscopy.Utimes(name, moment(timestamp))
}

func moment(timestamp int64) *time.Time {
	if timestamp == -1 {
		return nil
	}
	t := time.Unix(0, timestamp)
	return &t
}

func makeDirectory(dir string, a *pb.FileActionMkDir) error {
	name, err := fs.RootPath(dir, a.Path)
	if err != nil {
		return err
	}
	mode := os.FileMode(a.Mode) & 0o777
	if a.MakeParents {
		_, err := fscopy.MkdirAll(name, mode, ownerless, moment(a.Timestamp))
		return err
	}
	if err := os.Mkdir(name, mode); errors.Is(err, os.ErrExist) {
		return nil
	} else if err != nil {
		return visible(err, dir)
	}
	return setTime(name, a.Timestamp)
}

func makeFile(dir string, a *pb.FileActionMkFile) error {
	name, err := fs.RootPath(dir, a.Path)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(name); err != nil {
		return visible(err, dir)
	}
	if err := os.WriteFile(name, a.Data, 0o600); err != nil {
		return visible(err, dir)
	}
	if err := os.Chmod(name, os.FileMode(a.Mode)&0o777); err != nil {
		return visible(err, dir)
	}
	return setTime(name, a.Timestamp)
}

func makeSymlink(dir string, a *pb.FileActionSymlink) error {
	name, err := fs.RootPath(dir, a.Newpath)
	if err != nil {
		return err
	}
	if err := os.Symlink(a.Oldpath, name); err != nil {
		return visible(err, dir)
	}
	return setTime(name, a.Timestamp)
}

func remove(dir string, a *pb.FileActionRm) error {
	names := []string{a.Path}
	if a.AllowWildcard {
		var err error
		if names, err = fscopy.ResolveWildcards(dir, a.Path, false); err != nil {
			return err
		}
	}
	for _, name := range names {
		parent, err := fs.RootPath(dir, filepath.Dir(filepath.Join("/", name)))
		if err != nil {
			return err
		}
		file := filepath.Join(parent, filepath.Base(name))
		// As in the daemon, a link to nothing is not found.
		if _, err := os.Stat(file); err != nil && !a.AllowNotFound {
			return visible(err, dir)
		}
		if err := os.RemoveAll(file); err != nil {
			return visible(err, dir)
		}
	}
	return nil
}

func copyFiles(ctx context.Context, source, dir string, a *pb.FileActionCopy) error {
	if !a.CreateDestPath {
		to, err := fs.RootPath(dir, filepath.Join("/", a.Dest))
		if err != nil {
			return err
		}
		if _, err := os.Lstat(filepath.Dir(to)); err != nil {
			return fmt.Errorf("failed to stat %s: %w", a.Dest, visible(err, dir))
		}
	}
	names := []string{cleaned(a.Src)}
	if a.AllowWildcard {
		var err error
		if names, err = fscopy.ResolveWildcards(source, names[0], a.FollowSymlink); err != nil {
			return visible(err, source)
		}
		if len(names) == 0 && !a.AllowEmptyWildcard {
			return fmt.Errorf("%s not found", cleaned(a.Src))
		}
	}
	for _, name := range slices.Sorted(slices.Values(names)) {
		if err := exists(source, name, a.FollowSymlink); err != nil {
			return err
		}
		if a.AttemptUnpackDockerCompatibility {
			unpacked, err := unpack(ctx, within(source, name), within(dir, a.Dest))
			if err != nil || unpacked {
				return err
			}
		}
		if err := fscopy.Copy(ctx, source, name, dir, cleaned(a.Dest), fscopy.WithCopyInfo(copyInfo(a))); err != nil {
			return visible(visible(err, source), dir)
		}
	}
	return nil
}

// exists fails as the daemon does, which looks at the sources of a copy before it runs it.
func exists(source, name string, follow bool) error {
	parent, err := fs.RootPath(source, filepath.Dir(name))
	if err != nil {
		return err
	}
	file := filepath.Join(parent, filepath.Base(name))
	if follow {
		if file, err = fs.RootPath(source, name); err != nil {
			return err
		}
	}
	if _, err := os.Lstat(file); err != nil {
		return fmt.Errorf("failed to calculate checksum of ref: %q: not found", name)
	}
	return nil
}

func copyInfo(a *pb.FileActionCopy) fscopy.CopyInfo {
	info := fscopy.CopyInfo{
		Chown: ownerless, Utime: moment(a.Timestamp), ModeStr: a.ModeStr, CopyDirContents: a.DirCopyContents, FollowLinks: a.FollowSymlink,
		IncludePatterns: a.IncludePatterns, ExcludePatterns: a.ExcludePatterns, AlwaysReplaceExistingDestPaths: a.AlwaysReplaceExistingDestPaths,
	}
	if mode := int(a.Mode); mode != -1 && a.ModeStr == "" {
		info.Mode = &mode
	}
	return info
}

// cleaned is an absolute path with the slash at the end that it had: that slash names a directory.
func cleaned(name string) string {
	clean := filepath.Join("/", name)
	if clean != "/" && (name[len(name)-1] == '/' || filepath.Base(name) == ".") {
		clean += "/"
	}
	return clean
}

// visible takes the directory of the test out of the path in an error.
func visible(err error, dir string) error {
	var at *os.PathError
	if errors.As(err, &at) {
		if name, relative := filepath.Rel(dir, at.Path); relative == nil && filepath.IsLocal(name) {
			at.Path = filepath.Join("/", name)
		}
	}
	return err
}
