package frontend

import (
	"context"
	"fmt"
	"strings"

	"github.com/containerd/platforms"
	bkllb "github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/solver/pb"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/frontend/application"
	"github.com/kubefile/kubefile/frontend/kubefile"
	"github.com/kubefile/kubefile/frontend/lint"
	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/llb"
)

// platformBuild is the build of one platform.
type platformBuild struct {
	*build
	platform    ocispec.Platform
	image       *dockerspec.DockerOCIImage // becomes the result's config
	inherited   inherited                  // what that image is built with and runs
	base        *imagespec.Description     // of the base image; empty if that is not a cluster image
	content     *kubefile.Content          // of the Kubefile
	planned     application.Result         // what base and Kubefile run
	uninstalled []string                   // charts that nothing installs
	ignored     []imagespec.IgnoredImage   // found, and not to be embedded
	depth       int                        // layers that the Kubefile's instructions make
	clusterBase *llb.ClusterBase           // nil, or the base that the instructions see without its image layers
	tree        *bkllb.State               // has the names and kinds of the rootfs' files; nil if only the base has them
	lint        *lint.Linter
	warn        bool // warnings are printed for one platform only
}

// compile lets BuildKit's compiler read the Kubefile for a platform. Warnings are printed for the first one only.
func (b *build) compile(ctx context.Context, platform *ocispec.Platform, idx int) (*platformBuild, *dockerfile2llb.Result, error) {
	p := &platformBuild{build: b, platform: platforms.Normalize(b.target(platform)), warn: idx == 0}
	var err error
	if p.lint, err = b.linter(p.warner(ctx)); err != nil {
		return nil, nil, err
	}
	if err := p.lint.File(b.file, b.scope(p.platform)); err != nil {
		return nil, nil, err
	}
	df, err := dockerfile2llb.Dockerfile2LLB(ctx, b.file.Dockerfile(), b.convertOpt(ctx, platform, idx))
	if err == nil {
		err = p.lint.Error()
	}
	if err != nil {
		return nil, nil, err
	}
	p.image = df.Image
	if df.BaseImage != nil {
		p.inherited.config = df.BaseImage.Config
	}
	if df.Image.Architecture == "" { // a stage that a directory replaces has no config
		df.Image.Platform = p.platform
	}
	return p, df, p.describe()
}

// platform builds the image of one platform.
func (b *build) platform(ctx context.Context, platform *ocispec.Platform, idx int) (*dockerui.BuildResult, *subject, error) {
	p, df, err := b.compile(ctx, platform, idx)
	if err != nil {
		return nil, nil, err
	}
	rootfs, err := p.rootfs(ctx, df.State)
	if err != nil {
		return nil, nil, err
	}
	files, err := p.list(ctx, rootfs)
	if err != nil {
		return nil, nil, err
	}
	found, err := p.discover(ctx, rootfs)
	if err != nil {
		return nil, nil, err
	}
	known, found := p.known(found)
	if err := p.lintBuilt(found); err != nil {
		return nil, nil, err
	}
	images, err := p.resolve(ctx, found)
	if err != nil {
		return nil, nil, err
	}
	embedded, err := p.fetch(ctx, images)
	if err != nil {
		return nil, nil, err
	}
	lock, err := p.lock(known, embedded)
	if err != nil {
		return nil, nil, err
	}
	layers, err := p.layers(ctx, embedded, lock)
	if err != nil {
		return nil, nil, err
	}
	if err := p.configure(df, lock, layers); err != nil {
		return nil, nil, err
	}
	if err := p.labelRootfs(files); err != nil {
		return nil, nil, err
	}
	below, err := p.clusterBase.With(ctx, rootfs)
	if err != nil {
		return nil, nil, err
	}
	ref, err := b.solve(ctx, llb.Assemble(below, layers, b.canMerge()), p.platform)
	if err != nil {
		return nil, nil, blobFailure(err, embedded)
	}
	subject, err := p.subject(ctx, df, rootfs, lock)
	if err != nil {
		return nil, nil, err
	}
	return &dockerui.BuildResult{Reference: ref, Image: df.Image, BaseImage: df.BaseImage, Epoch: df.Epoch}, subject, nil
}

// target is the platform to build for: the daemon's own unless the user asked for another.
func (b *build) target(platform *ocispec.Platform) ocispec.Platform {
	if platform != nil {
		return *platform
	}
	return b.ui.BuildPlatforms[0]
}

func (b *build) canMerge() bool { return b.supports(pb.CapMergeOp) }
func (b *build) canDiff() bool  { return b.canMerge() && b.supports(pb.CapDiffOp) }

// rootfs returns the result of the Dockerfile's instructions, with the additions for a cluster rootfs.
func (p *platformBuild) rootfs(ctx context.Context, st bkllb.State) (bkllb.State, error) {
	st, err := llb.InRootfs(ctx, st)
	if err != nil {
		return st, err
	}
	if st, p.clusterBase, err = p.prepare(ctx, st); err != nil {
		return st, err
	}
	if p.canDiff() {
		link, err := llb.Linked(ctx, st, p.gateway.rootfsTree, p.source.Data, p.file.Unlinked)
		if err != nil {
			return st, err
		}
		st, p.tree = link.State, link.Tree
	}
	p.depth, err = llb.Depth(ctx, st)
	return st, err
}

// prepare makes a stage's RUN steps run: those that fetch charts apart from the base, the others with the toolbox, and on the rootfs layers of
// a cluster image alone. That image is returned.
func (p *platformBuild) prepare(ctx context.Context, st bkllb.State) (bkllb.State, *llb.ClusterBase, error) {
	st, err := llb.WithCharts(ctx, st, p.self.state)
	if err != nil {
		return st, nil, err
	}
	st, err = p.withToolbox(ctx, st)
	if err != nil || !p.canDiff() || !p.supports(pb.CapSourceImageLayerLimit) {
		return st, nil, err
	}
	return llb.WithoutImages(ctx, st, p.gateway.rootfsLayers)
}

func (p *platformBuild) withToolbox(ctx context.Context, st bkllb.State) (bkllb.State, error) {
	return llb.WithToolbox(ctx, st, p.gateway.isCluster, func(platform *ocispec.Platform) (bkllb.State, error) {
		if platform == nil {
			return p.self.state, nil
		}
		return p.self.on(ctx, *platform)
	})
}

// subject is what can be attested of the platform: its rootfs, further stages that the user wants scanned, and the lock.
func (p *platformBuild) subject(ctx context.Context, df *dockerfile2llb.Result, rootfs bkllb.State, lock *imagespec.Lock) (*subject, error) {
	s := &subject{SBOMTargets: *df.SBOM, ignoreCache: df.IsIgnoreCache}
	s.Core = rootfs
	for name, st := range s.Extras {
		st, _, err := p.prepare(ctx, st)
		if err != nil {
			return nil, err
		}
		s.Extras[name] = st
	}
	var err error
	s.lock, err = lock.Marshal()
	return s, err
}

// describe reads the base image's config, which the compiler carried over, and the Kubefile's own instructions.
func (p *platformBuild) describe() (err error) {
	scope := p.scope(p.platform)
	scope.BaseEnv = append([]string{}, p.inherited.config.Env...)
	p.content, err = p.file.Content(scope)
	if err != nil {
		return err
	}
	labels := p.image.Config.Labels
	p.base = &imagespec.Description{KubernetesVersion: labels[imagespec.LabelKubernetesVersion], Lock: imagespec.NewLock()}
	if version := p.base.KubernetesVersion; version != "" {
		if err := imagespec.CheckKubernetesVersion(version); err != nil {
			return err
		}
	}
	if err := p.checkSupported(); err != nil {
		return err
	}
	if labels[imagespec.LabelVersion] != "" {
		labels[imagespec.LabelKind] = kindOf(labels) // this Kubefile may add Kubernetes to an app
		config := p.image.Image
		config.Config = p.image.Config.ImageConfig
		if p.base, err = imagespec.Describe(config); err != nil {
			return fmt.Errorf("reading the config of the base image and the labels: %w", err)
		}
		if err := p.checkBase(); err != nil {
			return err
		}
	}
	p.inherited.commands = p.base.Commands
	if p.content.Reset {
		p.base.Commands = nil
	}
	return nil
}

// checkBase refuses a cluster image as base whose embedded images are for other platforms: no host could run what is built.
func (p *platformBuild) checkBase() error {
	names := p.base.Lock.Platforms
	for _, name := range names {
		if platform, err := platforms.Parse(name); err == nil && platforms.Only(p.platform).Match(platform) {
			return nil
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("the base image is a cluster image for %s, and %s is built; build the base for that platform too, or build with --platform %s",
		strings.Join(names, ", "), platforms.Format(p.platform), names[0])
}

// checkSupported refuses a KUBEVERSION that the packed Kubernetes is not in.
func (p *platformBuild) checkSupported() error {
	text := p.image.Config.Labels[imagespec.LabelSupportedKubernetes]
	if text == "" || p.base.KubernetesVersion == "" {
		return nil
	}
	supported, err := imagespec.ParseRange(text)
	if err == nil {
		err = imagespec.CheckKubernetes(supported, p.base.KubernetesVersion)
	}
	if err != nil && p.content.Supported != nil {
		return parser.WithLocation(err, p.content.Supported)
	}
	return err
}

// scope returns the selection of stages for a platform.
func (b *build) scope(target ocispec.Platform) kubefile.Scope {
	return kubefile.Scope{
		Target:    b.ui.Target,
		Platform:  platformArgs(b.ui.BuildPlatforms[0], target),
		BuildArgs: b.ui.BuildArgs,
		IsReplaced: func(stage string) bool {
			named, err := b.ui.NamedContext(stage, dockerui.ContextOpt{Platform: &target})
			return err == nil && named != nil
		},
	}
}

func kindOf(labels map[string]string) string {
	if labels[imagespec.LabelKubernetesVersion] != "" {
		return imagespec.KindCluster
	}
	return imagespec.KindApp
}

// platformArgs are the arguments that a FROM line may name without an ARG.
func platformArgs(build, target ocispec.Platform) map[string]string {
	return map[string]string{
		"BUILDPLATFORM": platforms.Format(build), "BUILDOS": build.OS, "BUILDARCH": build.Architecture, "BUILDVARIANT": build.Variant,
		"TARGETPLATFORM": platforms.Format(target), "TARGETOS": target.OS, "TARGETARCH": target.Architecture, "TARGETVARIANT": target.Variant,
	}
}
