package llb

import (
	"context"
	"slices"
	"strings"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// program is the frontend's own binary in its image.
	program = "/frontend"
	// RunnerSource is the static runner in the frontend's image.
	RunnerSource = "/sealer-run"

	// InputDir, RequestFile and OutputDir are where a step finds what it reads, what it is asked, and where it writes.
	InputDir    = "/in"
	RequestFile = "/request/request.json"
	OutputDir   = "/out"
	// CacheDir is the directory in which the fetch step keeps blobs for later builds.
	CacheDir = "/cache"
	// DockerConfig is the path of the fetch step's credentials, if the build has any.
	DockerConfig = "/run/secrets/" + DockerConfigSecret
	// DockerConfigSecret is the id of the build secret with a config.json of Docker.
	DockerConfigSecret = "kubefile.dockerconfig"
)

// Scan is the step that looks for images in rootfs: no network, nothing written but the answer, cached by content.
func Scan(self, rootfs llb.State, request []byte) llb.State {
	run := self.Run(
		llb.Args([]string{program, "scan"}),
		llb.Network(pb.NetMode_NONE),
		llb.ReadonlyRootFS(),
		llb.AddMount(InputDir, rootfs, llb.Readonly),
		requestMount(request),
		internal("discover images"),
	)
	return run.AddMount(OutputDir, llb.Scratch())
}

// List is the step that lists the files of rootfs.
func List(self, rootfs llb.State) llb.State {
	run := self.Run(
		llb.Args([]string{program, "list"}),
		llb.Network(pb.NetMode_NONE),
		llb.ReadonlyRootFS(),
		llb.AddMount(InputDir, rootfs, llb.Readonly),
		internal("list the files of the rootfs"),
	)
	return run.AddMount(OutputDir, llb.Scratch())
}

// Fetch is the step that reads manifests from the registries itself.
func Fetch(self llb.State, request []byte, proxy *llb.ProxyEnv, name string) llb.State {
	return fetch(self, request, proxy, name)
}

// FetchBlobs is the same step for all blobs, where BuildKit cannot fetch them.
func FetchBlobs(self llb.State, request []byte, proxy *llb.ProxyEnv, name string) llb.State {
	return fetch(self, request, proxy, name, llb.AddMount(CacheDir, llb.Scratch(), llb.AsPersistentCacheDir(blobCache, llb.CacheMountShared)))
}

func fetch(self llb.State, request []byte, proxy *llb.ProxyEnv, name string, more ...llb.RunOption) llb.State {
	opts := append([]llb.RunOption{
		llb.Args([]string{program, "fetch"}),
		llb.ReadonlyRootFS(),
		requestMount(request),
		llb.AddSecret(DockerConfig, llb.SecretID(DockerConfigSecret), llb.SecretOptional),
		internal(name),
	}, more...)
	if proxy != nil {
		opts = append(opts, llb.WithProxy(*proxy))
	}
	return self.Run(opts...).AddMount(OutputDir, llb.Scratch())
}

func requestMount(request []byte) llb.RunOption {
	st := llb.Scratch().File(llb.Mkfile("/request.json", 0o644, request), internal("write the step's request"))
	return llb.AddMount("/request", st, llb.Readonly)
}

// FetchedBlob is a blob that the fetch step wrote: below a directory of its own, and there where the store has it.
func FetchedBlob(fetched llb.State, dgst digest.Digest, size int64) Blob {
	return Blob{Digest: dgst, Size: size, Source: fetched, Path: "/" + dgst.Encoded() + blobPath(dgst)}
}

// ForPlatform returns the image that st pulls, for another platform. It is false if st is anything but one image.
func ForPlatform(ctx context.Context, st llb.State, platform ocispec.Platform) (llb.State, bool, error) {
	g, err := readGraph(ctx, st)
	if err != nil {
		return llb.State{}, false, err
	}
	if _, ok := g.image(); !ok {
		return llb.State{}, false, nil
	}
	out, err := g.rewrite(func(_ *graph, _ string, v *vertex) (*pb.Input, error) {
		v.op.Platform = &pb.Platform{OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant}
		return nil, nil
	})
	if err != nil {
		return llb.State{}, false, err
	}
	image, err := out.state()
	return image, err == nil, err
}

// ImageDigest returns the digest of the image that st pulls. It is empty if st is anything but one image with a digest.
func ImageDigest(ctx context.Context, st llb.State) (string, error) {
	g, err := readGraph(ctx, st)
	if err != nil {
		return "", err
	}
	ref, _ := g.image()
	_, dgst, _ := strings.Cut(ref, "@")
	return dgst, nil
}

// Step is an intermediate state of a build, with its line in the Kubefile.
type Step struct {
	State    llb.State
	Location []parser.Range
}

// Steps returns the states that the file system of st goes through, from the one that it begins at to st itself.
func Steps(ctx context.Context, st llb.State) ([]Step, error) {
	g, err := readGraph(ctx, st)
	if err != nil {
		return nil, err
	}
	var steps []Step
	for _, dgst := range slices.Backward(g.chain()) {
		at, err := g.at(&pb.Input{Digest: dgst}).state()
		if err != nil {
			return nil, err
		}
		steps = append(steps, Step{State: at, Location: g.vertices[dgst].ranges()})
	}
	return steps, nil
}
