package gatewaytest

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/distribution/reference"
	"github.com/klauspost/compress/gzip"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
)

// source evaluates a source operation.
func (g *Gateway) source(ctx context.Context, dgst string, op *pb.SourceOp, platform *pb.Platform) (*filesystem, error) {
	scheme, name, _ := strings.Cut(op.Identifier, "://")
	switch scheme {
	case "local":
		return g.local(ctx, dgst, name, op.Attrs)
	case "docker-image":
		return g.image(ctx, name, op.Attrs, platform)
	case "docker-image+blob":
		return g.blob(ctx, dgst, name, op.Attrs)
	}
	return nil, refused("the source %s", op.Identifier)
}

// attributes reads the attributes of a source into variables by name. Those that say nothing to a gateway without a cache are skipped.
func attributes(attrs map[string]string, into map[string]any) error {
	for name, value := range attrs {
		switch name {
		case pb.AttrSharedKeyHint, pb.AttrLocalDiffer, pb.AttrLocalUniqueID, pb.AttrLocalSessionID, pb.AttrImageResolveMode, pb.AttrImageRecordType:
			continue
		}
		var err error
		switch target := into[name].(type) {
		case *[]string:
			err = json.Unmarshal([]byte(value), target)
		case *int:
			*target, err = strconv.Atoi(value)
		case *string:
			*target = value
		default:
			err = refused("the attribute %s", name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// local reads a directory of the client.
func (g *Gateway) local(ctx context.Context, dgst, name string, attrs map[string]string) (*filesystem, error) {
	dir, ok := g.config.Locals[name]
	if !ok {
		return nil, fmt.Errorf("local source %q: the client has no such directory", name)
	}
	filter := &fsutil.FilterOpt{}
	err := attributes(attrs, map[string]any{
		pb.AttrIncludePatterns: &filter.IncludePatterns, pb.AttrExcludePatterns: &filter.ExcludePatterns, pb.AttrFollowPaths: &filter.FollowPaths,
	})
	if err != nil {
		return nil, err
	}
	all, err := fsutil.NewFS(dir)
	if err != nil {
		return nil, err
	}
	sent, err := fsutil.NewFilterFS(all, filter)
	if err != nil {
		return nil, err
	}
	to, err := g.newDirectory()
	if err != nil {
		return nil, err
	}
	err = sent.Walk(ctx, "", func(name string, entry iofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return receive(sent, name, entry, filepath.Join(to, name))
	})
	if err != nil {
		return nil, fmt.Errorf("reading the local source %q: %w", name, err)
	}
	return (&filesystem{gateway: g}).with(dgst, to), nil
}

// receive writes one file that the client sends.
func receive(from fsutil.FS, name string, entry iofs.DirEntry, to string) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*types.Stat)
	if !ok {
		return fmt.Errorf("%s has no %T", name, stat)
	}
	switch {
	case info.IsDir():
		return os.Mkdir(to, info.Mode().Perm())
	case info.Mode()&os.ModeSymlink != 0:
		return os.Symlink(stat.Linkname, to)
	case !info.Mode().IsRegular():
		return refused("files of the mode %s", info.Mode())
	}
	r, err := from.Open(name)
	if err != nil {
		return err
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := os.WriteFile(to, content, 0o600); err != nil {
		return err
	}
	if err := os.Chmod(to, info.Mode().Perm()); err != nil {
		return err
	}
	return os.Chtimes(to, info.ModTime(), info.ModTime())
}

// image names the layers of an image; they are read when a step needs their files.
func (g *Gateway) image(ctx context.Context, name string, attrs map[string]string, platform *pb.Platform) (*filesystem, error) {
	limit, checksum := 0, ""
	if err := attributes(attrs, map[string]any{pb.AttrImageLayerLimit: &limit, pb.AttrImageChecksum: &checksum}); err != nil {
		return nil, err
	}
	on := buildPlatform
	if platform != nil {
		on = platform.Spec()
	}
	found, err := g.config.Registry.resolve(ctx, name, &on)
	if err != nil {
		return nil, err
	}
	if checksum != "" && found.digest.String() != checksum {
		return nil, fmt.Errorf("%s has the digest %s, not %s", name, found.digest, checksum)
	}
	layers := found.manifest.Layers
	if limit > 0 && limit < len(layers) {
		layers = layers[:limit]
	}
	f := &filesystem{gateway: g}
	for _, desc := range layers {
		next := layer{id: desc.Digest.String(), lower: f.unlessScratch(), tar: func(ctx context.Context) (io.ReadCloser, error) {
			return g.config.Registry.layer(ctx, found.repository, desc)
		}}
		f = &filesystem{gateway: g, layers: append(slices.Clip(f.layers), next)}
	}
	return f, nil
}

// blob is a file system with one blob of a repository.
func (g *Gateway) blob(ctx context.Context, dgst, name string, attrs map[string]string) (*filesystem, error) {
	file, mode := "", "0600"
	if err := attributes(attrs, map[string]any{pb.AttrHTTPFilename: &file, pb.AttrHTTPPerm: &mode}); err != nil {
		return nil, err
	}
	ref, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return nil, err
	}
	digested, ok := ref.(reference.Digested)
	if !ok {
		return nil, fmt.Errorf("the blob %s has no digest", name)
	}
	content, err := g.config.Registry.blob(ctx, ref.Name(), digested.Digest())
	if err != nil {
		return nil, err
	}
	perm, err := strconv.ParseUint(mode, 0, 32)
	if err != nil {
		return nil, err
	}
	if file == "" {
		file = digested.Digest().Encoded()
	}
	dir, err := g.newDirectory()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, file), content, os.FileMode(perm)); err != nil {
		return nil, err
	}
	return (&filesystem{gateway: g}).with(dgst, dir), nil
}

// unpack unpacks an archive into a directory. It is false for any other file.
func unpack(ctx context.Context, file, dir string) (bool, error) {
	f, err := os.Open(file)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return false, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, err
	}
	var content io.Reader = f
	if r, err := gzip.NewReader(f); err == nil {
		content = r
	} else if _, err := f.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	data, err := io.ReadAll(content)
	if err != nil {
		return false, err
	}
	if _, err := tar.NewReader(bytes.NewReader(data)).Next(); err != nil {
		return false, nil
	}
	return true, extract(ctx, dir, bytes.NewReader(data))
}

// found is an image for a platform.
type found struct {
	repository string
	digest     digest.Digest // that the reference has: of an index or a manifest
	manifest   ocispec.Manifest
	documents  [][]byte // indexes on the way, and the manifest
	config     []byte
}
