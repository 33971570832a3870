// Package frontend is the BuildKit frontend for Kubefiles: it reads a Kubefile, lets BuildKit's own compiler build the rootfs, looks for
// container images in it, and embeds them.
package frontend

import (
	"context"
	"fmt"
	"maps"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/util/apicaps"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/frontend/control"
	"github.com/kubefile/kubefile/frontend/kubefile"
	"github.com/kubefile/kubefile/imagespec"
)

// defaultName is the file that is read when the user names none. Docker's clients always name one.
const defaultName = "Kubefile"

// build is one build request.
type build struct {
	gateway  *resolver
	ui       *dockerui.Client
	source   *dockerui.Source
	file     *kubefile.File
	self     image // the frontend's own
	mirrors  map[string][]string
	control  *control.File
	pinned   *imagespec.Lock // what references have to be
	lockPath string          // where it is in the build context
	frozen   bool            // whether all have to be in it
	used     *usage          // of control file and lock
}

// Build is the frontend: a client.BuildFunc.
func Build(ctx context.Context, c client.Client) (_ *client.Result, err error) {
	if err := checkCaps(c.BuildOpts().Opts["frontend.caps"]); err != nil {
		return nil, err
	}
	if err := checkBuildKit(c.BuildOpts().LLBCaps); err != nil {
		return nil, err
	}
	gateway := newResolver(c)
	ui, err := dockerui.NewClient(gateway)
	if err != nil {
		return nil, err
	}
	source, err := ui.ReadEntrypoint(ctx, defaultName)
	if err != nil {
		return nil, err
	}
	defer func() { err = located(err, source.SourceMap) }()
	b := &build{gateway: gateway, ui: ui, source: source, used: newUsage()}
	if b.file, err = kubefile.Parse(source.Data); err != nil {
		return nil, err
	}
	if b.mirrors, err = parseMirrors(ui.BuildArgs[mirrorsArg]); err != nil {
		return nil, err
	}
	if b.self, err = ownImage(c, ui.BuildPlatforms[0]); err != nil {
		return nil, err
	}
	if res, ok, err := b.subrequest(ctx); ok || err != nil {
		return res, err
	}
	if err := b.readContext(ctx); err != nil {
		return nil, err
	}
	attester, err := b.attester(ctx)
	if err != nil {
		return nil, err
	}
	built, err := ui.Build(ctx, func(ctx context.Context, platform *ocispec.Platform, idx int) (*dockerui.BuildResult, error) {
		res, subject, err := b.platform(ctx, platform, idx)
		if err != nil {
			return nil, err
		}
		attester.add(platform, subject)
		return res, nil
	})
	if err != nil {
		return nil, err
	}
	b.reportUnused(ctx)
	if err := attester.attach(ctx, built); err != nil {
		return nil, err
	}
	return built.Finalize()
}

// convertOpt returns the options for BuildKit's compiler; idx is the number of the platform. Warnings are printed for the first one only.
func (b *build) convertOpt(ctx context.Context, platform *ocispec.Platform, idx int) dockerfile2llb.ConvertOpt {
	opt := dockerfile2llb.ConvertOpt{
		Config:         b.ui.Config,
		Client:         b.ui,
		SourceMap:      b.source.SourceMap,
		MetaResolver:   b.gateway,
		TargetPlatform: platform,
	}
	opt.BuildArgs = maps.Clone(opt.BuildArgs)
	if idx == 0 {
		opt.Warn = lintWarner(ctx, b.source)
	}
	return opt
}

func (b *build) supports(capability apicaps.CapID) bool {
	caps := b.ui.BuildOpts().LLBCaps
	return caps.Supports(capability) == nil
}

// solve builds st and returns its reference.
func (b *build) solve(ctx context.Context, st llb.State, platform ocispec.Platform) (client.Reference, error) {
	def, err := st.Marshal(ctx, llb.Platform(platform), llb.WithCaps(b.ui.BuildOpts().LLBCaps))
	if err != nil {
		return nil, fmt.Errorf("marshalling the build graph: %w", err)
	}
	res, err := b.gateway.Solve(ctx, client.SolveRequest{Definition: def.ToPB(), CacheImports: b.ui.CacheImports, Evaluate: true})
	if err != nil {
		return nil, err
	}
	return res.SingleRef()
}
