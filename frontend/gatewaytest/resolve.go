package gatewaytest

import (
	"context"
	"strings"

	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
)

// ResolveImageConfig returns digest and config of an image for a platform.
func (g *Gateway) ResolveImageConfig(ctx context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	return sourceresolver.NewImageMetaResolver(g).ResolveImageConfig(ctx, ref, opt)
}

// ResolveSourceMetadata returns what is known of a source before it is read. Only images have something.
func (g *Gateway) ResolveSourceMetadata(ctx context.Context, op *pb.SourceOp, opt sourceresolver.Opt) (*sourceresolver.MetaResponse, error) {
	name, ok := strings.CutPrefix(op.Identifier, "docker-image://")
	if !ok || opt.OCILayoutOpt != nil {
		return nil, refused("metadata of the source %s", op.Identifier)
	}
	platform := &buildPlatform
	if opt.ImageOpt != nil && opt.ImageOpt.Platform != nil {
		platform = opt.ImageOpt.Platform
	}
	found, err := g.config.Registry.resolve(ctx, name, platform)
	if err != nil {
		return nil, err
	}
	return &sourceresolver.MetaResponse{Op: op, Image: &sourceresolver.ResolveImageResponse{Digest: found.digest, Config: found.config}}, nil
}
