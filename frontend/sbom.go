package frontend

import (
	"context"
	"fmt"
	"sync"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/attestations/sbom"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/result"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// sbomScan runs the user's SBOM scanner over the rootfs of every platform, as BuildKit's own frontend does.
type sbomScan struct {
	build   *build
	scanner sbom.Scanner // nil: none asked for

	mu      sync.Mutex
	targets map[string]*scanTargets // by platform
}

type scanTargets struct {
	dockerfile2llb.SBOMTargets
	ignoreCache bool
}

func (b *build) sbomScanner(ctx context.Context) (*sbomScan, error) {
	s := &sbomScan{build: b, targets: map[string]*scanTargets{}}
	if b.ui.SBOM == nil {
		return s, nil
	}
	platform := b.ui.BuildPlatforms[0]
	var err error
	s.scanner, err = sbom.CreateSBOMScanner(ctx, b.gateway, b.ui.SBOM.Generator, platform, sourceresolver.Opt{
		ImageOpt: &sourceresolver.ResolveImageOpt{Platform: &platform, ResolveMode: b.ui.ImageResolveMode.String()},
	}, b.ui.SBOM.Parameters)
	return s, err
}

func (s *sbomScan) add(platform *ocispec.Platform, targets *scanTargets) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.targets[platforms.FormatAll(s.build.target(platform))] = targets
}

func (s *sbomScan) attach(ctx context.Context, built *dockerui.ResultBuilder) error {
	if s.scanner == nil {
		return nil
	}
	return built.EachPlatform(ctx, func(ctx context.Context, id string, _ ocispec.Platform) error {
		targets, ok := s.targets[id]
		if !ok {
			return fmt.Errorf("nothing to scan for %s", id)
		}
		var opts []llb.ConstraintsOpt
		if targets.ignoreCache {
			opts = append(opts, llb.IgnoreCache)
		}
		att, err := s.scanner(ctx, id, targets.Core, targets.Extras, opts...)
		if err != nil {
			return err
		}
		solved, err := result.ConvertAttestation(&att, func(st *llb.State) (client.Reference, error) {
			return s.build.solve(ctx, *st, s.build.ui.BuildPlatforms[0])
		})
		if err != nil {
			return err
		}
		built.AddAttestation(id, *solved)
		return nil
	})
}
