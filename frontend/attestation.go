package frontend

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/attestations"
	"github.com/moby/buildkit/frontend/attestations/sbom"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/frontend/gateway/client"
	gatewaypb "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/result"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
)

// lockStatement is the file name of the lock's statement in an exported directory, next to BuildKit's provenance.json.
const lockStatement = "images-lock.json"

// attester attaches to the result of every platform what the user asked for: the SBOM that his scanner writes, as BuildKit's own
// frontend does, and with any attestation the lock. The provenance is BuildKit's.
type attester struct {
	build      *build
	scanner    sbom.Scanner // nil: no SBOM is asked for
	lock       bool
	inlineOnly bool // not into exported directories, as buildx asks for its default

	mu       sync.Mutex
	subjects map[string]*subject // by platform
}

// subject has the inputs for the attestations of one platform.
type subject struct {
	dockerfile2llb.SBOMTargets
	ignoreCache bool
	lock        []byte
}

func (b *build) attester(ctx context.Context) (*attester, error) {
	a := &attester{build: b, inlineOnly: true, subjects: map[string]*subject{}}
	asked, err := attestations.Parse(b.ui.BuildOpts().Opts)
	if err != nil {
		return nil, err
	}
	for _, attributes := range asked {
		inlineOnly, _ := strconv.ParseBool(attributes["inline-only"])
		a.lock, a.inlineOnly = true, a.inlineOnly && inlineOnly
	}
	if b.ui.SBOM == nil {
		return a, nil
	}
	platform := b.ui.BuildPlatforms[0]
	a.scanner, err = sbom.CreateSBOMScanner(ctx, b.gateway, b.ui.SBOM.Generator, platform, sourceresolver.Opt{
		ImageOpt: &sourceresolver.ResolveImageOpt{Platform: &platform, ResolveMode: b.ui.ImageResolveMode.String()},
	}, b.ui.SBOM.Parameters)
	return a, err
}

func (a *attester) add(platform *ocispec.Platform, s *subject) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.subjects[platforms.FormatAll(a.build.target(platform))] = s
}

func (a *attester) attach(ctx context.Context, built *dockerui.ResultBuilder) error {
	if a.scanner == nil && !a.lock {
		return nil
	}
	return built.EachPlatform(ctx, func(ctx context.Context, id string, _ ocispec.Platform) error {
		s, ok := a.subjects[id]
		if !ok {
			return fmt.Errorf("nothing to attest for %s", id)
		}
		statements, err := a.statements(ctx, id, s)
		if err != nil {
			return err
		}
		for _, statement := range statements {
			solved, err := result.ConvertAttestation(&statement, func(st *llb.State) (client.Reference, error) {
				return a.build.solve(ctx, *st, a.build.ui.BuildPlatforms[0])
			})
			if err != nil {
				return err
			}
			built.AddAttestation(id, *solved)
		}
		return nil
	})
}

func (a *attester) statements(ctx context.Context, id string, s *subject) ([]result.Attestation[*llb.State], error) {
	var statements []result.Attestation[*llb.State]
	if a.scanner != nil {
		var opts []llb.ConstraintsOpt
		if s.ignoreCache {
			opts = append(opts, llb.IgnoreCache)
		}
		found, err := a.scanner(ctx, id, s.Core, s.Extras, opts...)
		if err != nil {
			return nil, err
		}
		statements = append(statements, found)
	}
	if a.lock {
		statements = append(statements, a.attestLock(s.lock))
	}
	return statements, nil
}

// attestLock states which images are embedded, with digests and why: the lock file is the predicate.
func (a *attester) attestLock(lock []byte) result.Attestation[*llb.State] {
	st := llb.Scratch().File(llb.Mkfile("/"+lockStatement, 0o644, lock), llb.WithCustomName("[kubefile] attest the lock file"))
	statement := result.Attestation[*llb.State]{
		Kind:   gatewaypb.AttestationKind_InToto,
		Ref:    &st,
		Path:   "/" + lockStatement,
		InToto: result.InTotoAttestation{PredicateType: imagespec.PredicateLock},
	}
	if a.inlineOnly {
		statement.Metadata = map[string][]byte{result.AttestationInlineOnlyKey: []byte("true")}
	}
	return statement
}
