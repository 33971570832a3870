package frontend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	bkllb "github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/identity"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/frontend/step"
	"github.com/kubefile/kubefile/llb"
)

// mirrorsArg is the build argument with mirrors for the fetch step, which does not see the daemon's configuration: HOST=URL, separated by
// commas; a host may be repeated.
const mirrorsArg = "KUBEFILE_MIRRORS"

// embedded is one image with everything that is known of it, and its blobs with where their bytes come from.
type embedded struct {
	wanted
	step.Image
	blobs []llb.Blob
}

// fetch gets the manifests of all images, by one step with network for all of them. Configs and layers are named only; BuildKit
// fetches them when the layers are made, or the step has done it where BuildKit cannot.
func (p *platformBuild) fetch(ctx context.Context, images []wanted) ([]embedded, error) {
	if len(images) > 0 && !p.fetchesBlobs() {
		p.warnf(ctx, "this BuildKit is older than 0.28 and cannot fetch the blobs of images itself. The build falls back to a step that fetches them, "+
			"which uses neither your registry logins nor BuildKit's mirrors: pass --secret id=%s and --build-arg %s", llb.DockerConfigSecret, mirrorsArg)
	}
	done, failed, err := p.fetchStep(ctx, images, "")
	if err != nil {
		return nil, err
	}
	if len(failed) > 0 {
		// BuildKit may have remembered an old failure.
		var retried []embedded
		var again []wanted
		for _, f := range failed {
			again = append(again, f.wanted)
		}
		if retried, failed, err = p.fetchStep(ctx, again, identity.NewID()); err != nil {
			return nil, err
		}
		done = append(done, retried...)
	}
	var report unresolved
	for _, f := range failed {
		e, err := p.lastResort(ctx, f.wanted)
		if err != nil {
			report = append(report, failure{found: f.found, err: f.explain()})
			continue
		}
		done = append(done, e)
	}
	if len(report) > 0 {
		return nil, report
	}
	return done, nil
}

// fetchesBlobs reports whether BuildKit itself fetches configs and layers.
func (p *platformBuild) fetchesBlobs() bool { return p.supports(pb.CapSourceImageBlob) }

// fetchStep runs the fetch step. attempt makes the request differ from earlier ones.
func (p *platformBuild) fetchStep(ctx context.Context, images []wanted, attempt string) (done []embedded, failed []unfetched, err error) {
	if len(images) == 0 {
		return nil, nil, nil
	}
	blobs, name, run := false, "fetch the manifests of %d images", llb.Fetch
	if !p.fetchesBlobs() {
		blobs, name, run = true, "fetch %d images", llb.FetchBlobs
	}
	request := step.FetchRequest{Platform: p.platform, Mirrors: p.mirrors, Blobs: blobs, Attempt: attempt}
	for _, w := range images {
		request.Images = append(request.Images, w.request())
	}
	dt, err := json.Marshal(request)
	if err != nil {
		return nil, nil, fmt.Errorf("asking for manifests: %w", err)
	}
	st := run(p.self.state, dt, proxyOf(p.ui.BuildArgs), fmt.Sprintf(name, len(images)))
	ref, err := p.solve(ctx, st, p.self.platform)
	if err != nil {
		return nil, nil, err
	}
	dt, err = dockerui.ReadFile(ctx, ref, step.Fetched)
	if err != nil {
		return nil, nil, fmt.Errorf("reading what was fetched: %w", err)
	}
	var answer []step.Image
	if err := json.Unmarshal(dt, &answer); err != nil {
		return nil, nil, fmt.Errorf("reading what was fetched: %w", err)
	}
	if len(answer) != len(images) {
		return nil, nil, fmt.Errorf("reading what was fetched: %d images instead of %d", len(answer), len(images))
	}
	for i, image := range answer {
		if image.Error != "" {
			failed = append(failed, unfetched{wanted: images[i], image: image})
			continue
		}
		e := embedded{wanted: images[i], Image: image}
		fetched := func(d digest.Digest, size int64) (llb.Blob, error) { return llb.FetchedBlob(st, d, size), nil }
		e.blobs, err = blobsOf(e, fetched, blobs)
		if err != nil {
			return nil, nil, err
		}
		done = append(done, e)
	}
	return done, failed, nil
}

// request asks the fetch step for the image.
func (w wanted) request() step.Wanted {
	return step.Wanted{Reference: w.source.String(), Digest: w.digest, Config: w.config}
}

// origin describes where the bytes of a blob come from.
type origin func(digest.Digest, int64) (llb.Blob, error)

// inRegistry is BuildKit's own source of blobs.
func inRegistry(name reference.Named) origin {
	return func(d digest.Digest, size int64) (llb.Blob, error) { return llb.RegistryBlob(name, d, size) }
}

// blobsOf names all blobs of an image. manifest is the origin of manifests, and of configs and layers too if all is true; else they come
// from BuildKit's own source.
func blobsOf(e embedded, manifest origin, all bool) ([]llb.Blob, error) {
	content := inRegistry(e.source)
	if all {
		content = manifest
	}
	var blobs []llb.Blob
	add := func(from origin, desc ocispec.Descriptor) error {
		blob, err := from(desc.Digest, desc.Size)
		blobs = append(blobs, blob)
		return err
	}
	var errs []error
	for _, index := range e.Indexes {
		errs = append(errs, add(manifest, index))
	}
	errs = append(errs, add(manifest, e.Manifest), add(content, e.Config))
	for _, layer := range e.Layers {
		errs = append(errs, add(content, layer))
	}
	return blobs, errors.Join(errs...)
}

// blobFailure names the images of a blob that BuildKit could not fetch, with their places. Errors of a build name the blob in their text
// only.
func blobFailure(err error, images []embedded) error {
	var report unresolved
	for _, e := range images {
		at := slices.IndexFunc(e.blobs, func(b llb.Blob) bool { return strings.Contains(err.Error(), b.Digest.Encoded()) })
		if at >= 0 {
			report = append(report, failure{found: e.found, err: fmt.Errorf("fetching its blob %s: %w", e.blobs[at].Digest, err)})
		}
	}
	if len(report) > 0 {
		return report
	}
	return err
}

// unfetched is an image that the fetch step could not get.
type unfetched struct {
	wanted
	image step.Image
}

func (u unfetched) explain() error {
	if !u.image.Denied {
		return fmt.Errorf("fetching its manifest: %s\n"+
			"    This step does not know the mirrors that are set up in BuildKit. If the registry is behind one, name it:\n"+
			"    --build-arg %s=%s=https://MIRROR", u.image.Error, mirrorsArg, reference.Domain(u.source))
	}
	return fmt.Errorf("fetching its manifest: %s\n"+
		"    BuildKit cannot lend its credentials for manifests. Add them to the build:\n"+
		"    --secret id=%s,src=$HOME/.docker/config.json\n"+
		"    (the file has to hold the password itself; a credential helper's does not)", u.image.Error, llb.DockerConfigSecret)
}

// lastResort gets manifests from BuildKit's blob source, which has the user's credentials and the daemon's mirrors. Many registries
// refuse it, because it does not say which media types it accepts.
func (p *platformBuild) lastResort(ctx context.Context, w wanted) (embedded, error) {
	if !p.fetchesBlobs() {
		return embedded{}, errors.New("this BuildKit cannot fetch blobs")
	}
	image, _, err := step.Find(ctx, w.request(), platforms.Only(p.platform), func(ctx context.Context, dgst digest.Digest) (ocispec.Descriptor, []byte, error) {
		body, err := p.readManifest(ctx, w, dgst)
		return ocispec.Descriptor{MediaType: mediaTypeOf(body), Digest: dgst, Size: int64(len(body))}, body, err
	})
	if err != nil {
		return embedded{}, err
	}
	if image.Config.Digest != w.config {
		return embedded{}, fmt.Errorf("no manifest has the config %s", w.config)
	}
	e := embedded{wanted: w, Image: image}
	e.blobs, err = blobsOf(e, inRegistry(w.source), true)
	return e, err
}

func (p *platformBuild) readManifest(ctx context.Context, w wanted, dgst digest.Digest) ([]byte, error) {
	blob, err := llb.RegistryBlob(w.source, dgst, 0)
	if err != nil {
		return nil, err
	}
	ref, err := p.solve(ctx, blob.Source, p.platform)
	if err != nil {
		return nil, err
	}
	return dockerui.ReadFile(ctx, ref, blob.Path)
}

func mediaTypeOf(manifest []byte) string {
	var m ocispec.Index
	switch err := json.Unmarshal(manifest, &m); {
	case err != nil || m.MediaType != "":
		return m.MediaType
	case m.Manifests != nil:
		return ocispec.MediaTypeImageIndex
	}
	return ocispec.MediaTypeImageManifest
}

// parseMirrors reads the value of [mirrorsArg].
func parseMirrors(value string) (map[string][]string, error) {
	mirrors := map[string][]string{}
	for _, entry := range strings.FieldsFunc(value, func(r rune) bool { return r == ',' }) {
		host, url, ok := strings.Cut(strings.TrimSpace(entry), "=")
		if !ok || host == "" || !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
			return nil, fmt.Errorf("build argument %s: %q is not of the form docker.io=https://mirror.example.com", mirrorsArg, entry)
		}
		mirrors[host] = append(mirrors[host], strings.TrimSuffix(url, "/"))
	}
	return mirrors, nil
}

// proxyOf returns the proxy settings among the build arguments.
func proxyOf(args map[string]string) *bkllb.ProxyEnv {
	proxy := bkllb.ProxyEnv{}
	for name, field := range map[string]*string{
		"http_proxy": &proxy.HTTPProxy, "https_proxy": &proxy.HTTPSProxy, "no_proxy": &proxy.NoProxy, "all_proxy": &proxy.AllProxy,
	} {
		for _, spelling := range []string{strings.ToUpper(name), name} {
			if value := args[spelling]; value != "" {
				*field = value
			}
		}
	}
	if proxy == (bkllb.ProxyEnv{}) {
		return nil
	}
	return &proxy
}
