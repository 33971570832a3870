package frontend

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	bkllb "github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/frontend/gateway/client"

	"github.com/kubefile/kubefile/frontend/control"
	"github.com/kubefile/kubefile/frontend/discovery"
	"github.com/kubefile/kubefile/imagespec"
)

const (
	// frozenArg refuses what is not in the lock: "1" or "true".
	frozenArg = "KUBEFILE_FROZEN"
	// lockArg is the path of the lock in the build context.
	lockArg = "KUBEFILE_LOCK"
	// lockName is the default path.
	lockName = "images.lock.json"
)

// readContext reads the control file and the lock of the build context, if they exist.
func (b *build) readContext(ctx context.Context) error {
	args := b.ui.BuildArgs
	b.lockPath = lockName
	if given := args[lockArg]; given != "" {
		b.lockPath = path.Clean("/" + given)[1:]
	}
	files, err := b.contextFiles(ctx, control.FileName, b.lockPath)
	if err != nil {
		return err
	}
	if b.control, err = control.Parse(files[control.FileName]); err != nil {
		return err
	}
	if err := b.control.Arguments(args); err != nil {
		return err
	}
	if text := args[frozenArg]; text != "" {
		if b.frozen, err = strconv.ParseBool(text); err != nil {
			return fmt.Errorf("build argument %s: %q is neither 0 nor 1", frozenArg, text)
		}
	}
	data, ok := files[b.lockPath]
	switch {
	case ok:
		if b.pinned, err = imagespec.ParseLock(data); err != nil {
			return fmt.Errorf("reading %s of the build context: %w", b.lockPath, err)
		}
	case b.frozen || args[lockArg] != "":
		return fmt.Errorf("the build context has no %s, which %s or %s require: extract it from an image that you built (sealer-run images --output json IMAGE > %s)",
			b.lockPath, frozenArg, lockArg, b.lockPath)
	default:
		b.pinned = imagespec.NewLock()
	}
	return nil
}

// contextFiles reads files of the build context, those that it has. A .dockerignore does not hide them.
func (b *build) contextFiles(ctx context.Context, names ...string) (map[string][]byte, error) {
	st, err := b.ui.MainContext(ctx, bkllb.ExcludePatterns(nil), bkllb.FollowPaths(names), bkllb.SharedKeyHint("kubefile-control"),
		dockerui.WithInternalName("load "+strings.Join(names, " and ")))
	if err != nil {
		return nil, err
	}
	ref, err := b.solve(ctx, *st, b.ui.BuildPlatforms[0])
	if err != nil {
		return nil, fmt.Errorf("reading the build context: %w", err)
	}
	files := map[string][]byte{}
	for _, name := range names {
		entries, err := ref.ReadDir(ctx, client.ReadDirRequest{Path: path.Dir(name), IncludePattern: path.Base(name)})
		if err != nil || len(entries) == 0 {
			continue // no such directory, or no such file
		}
		data, err := dockerui.ReadFile(ctx, ref, name)
		if err != nil {
			return nil, fmt.Errorf("reading %s of the build context: %w", name, err)
		}
		files[name] = data
	}
	return files, nil
}

// speaksOfImages reports whether a file is the control file or the lock, wherever COPY put it; neither needs images itself.
func (b *build) speaksOfImages(name string) bool {
	base := path.Base(name)
	return base == control.FileName || base == lockName || strings.HasSuffix("/"+name, "/"+b.lockPath)
}

// usage records which entries of the control file and the lock the platforms of a build need.
type usage struct {
	mu         sync.Mutex
	ignores    map[int]bool    // entries of the control file that leave something out
	references map[string]bool // found, or in the base
}

func newUsage() *usage { return &usage{ignores: map[int]bool{}, references: map[string]bool{}} }

// use records the images of a platform: all were found in its rootfs, and needed will be embedded.
func (p *platformBuild) use(all []discovery.Finding, needed []found) {
	p.used.mu.Lock()
	defer p.used.mu.Unlock()
	for _, f := range all {
		p.used.ignores[p.control.Ignored(f.Reference, p.platform)] = true
	}
	for _, f := range needed {
		p.used.references[f.reference] = true
	}
	for _, locked := range p.base.Lock.Images {
		p.used.references[locked.Reference] = true
	}
}

// reportUnused warns of entries of the control file and the lock that no platform needs.
func (b *build) reportUnused(ctx context.Context) {
	for n, i := range b.control.Images.Ignore {
		if len(i.Platforms) == 0 && !b.used.ignores[n] {
			b.warnf(ctx, "%s: nothing needs %s, which is ignored", i.Place(), i.Image)
		}
	}
	var built []string
	for _, platform := range b.platforms() {
		built = append(built, platforms.Format(platform))
	}
	for _, locked := range b.pinned.Images {
		if !b.used.references[locked.Reference] {
			b.warnf(ctx, "%s lists %s, which nothing needs for %s", b.lockPath, locked.Reference, strings.Join(built, ", "))
		}
	}
}

// sourceOf returns where an image is fetched from, according to the control file, with the digest in the lock.
func (b *build) sourceOf(name reference.Named) (reference.Named, error) {
	source, err := b.control.Source(name)
	if err != nil {
		return nil, err
	}
	locked, ok := b.pinned.Lookup(name.String())
	if !ok {
		if b.frozen {
			return nil, fmt.Errorf("it is not in the lock, and the build is frozen (%s): build without it, review the new images, and use the new lock", frozenArg)
		}
		return source, nil
	}
	if d, ok := name.(reference.Digested); ok && d.Digest() != locked.Digest {
		return nil, fmt.Errorf("digest does not match the lock file (%s)", locked.Digest)
	}
	return reference.WithDigest(source, locked.Digest)
}
