package frontend

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/util/flightcontrol"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
)

// resolver asks the gateway for each image once per build, however many stages and platforms name it, and remembers which
// of them are cluster images, how many layers of those are below the embedded images, and which files they have.
type resolver struct {
	client.Client
	group flightcontrol.CachedGroup[*resolved]
	pause time.Duration // before the second attempt

	mu      sync.Mutex
	cluster map[string]bool // by digest and by reference
	rootfs  map[string]int  // by those and the platform
	trees   map[string][]byte
}

type resolved struct {
	ref    string
	digest digest.Digest
	config []byte
}

func newResolver(c client.Client) *resolver {
	return &resolver{
		Client:  c,
		group:   flightcontrol.CachedGroup[*resolved]{CacheError: true},
		pause:   500 * time.Millisecond,
		cluster: map[string]bool{},
		rootfs:  map[string]int{},
		trees:   map[string][]byte{},
	}
}

// ResolveImageConfig is the gateway's, remembered.
func (r *resolver) ResolveImageConfig(ctx context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	key := opt
	key.LogName = "" // names the caller, not the content
	dt, err := json.Marshal(key)
	if err != nil {
		return "", "", nil, fmt.Errorf("resolving %s: %w", ref, err)
	}
	res, err := r.group.Do(ctx, ref+" "+string(dt), func(ctx context.Context) (*resolved, error) {
		var found resolved
		err := r.attempt(ctx, func() (err error) {
			found.ref, found.digest, found.config, err = r.Client.ResolveImageConfig(ctx, ref, opt)
			return err
		})
		if err != nil {
			return nil, err
		}
		r.remember(found.ref, found.digest, found.config, opt)
		return &found, nil
	})
	if err != nil {
		return "", "", nil, err
	}
	return res.ref, res.digest, res.config, nil
}

func (r *resolver) remember(ref string, dgst digest.Digest, config []byte, opt sourceresolver.Opt) {
	var image ocispec.Image
	if json.Unmarshal(config, &image) != nil {
		return // whoever asked reports it
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	isCluster := image.Config.Labels[imagespec.LabelVersion] != ""
	r.cluster[ref], r.cluster[dgst.String()] = isCluster, isCluster
	if !isCluster {
		return
	}
	on := onPlatform(&image.Platform)
	if opt.ImageOpt != nil && opt.ImageOpt.Platform != nil {
		on = onPlatform(opt.ImageOpt.Platform)
	}
	if n, ok := imagespec.RootfsFirst(image); ok {
		r.rootfs[ref+on], r.rootfs[dgst.String()+on] = n, n
	}
	if tree, ok := imagespec.RootfsTree(image); ok {
		r.trees[ref+on], r.trees[dgst.String()+on] = tree, tree
	}
}

// isCluster reports whether the image is a cluster image, among those whose config this build has read.
func (r *resolver) isCluster(ref string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, dgst, _ := strings.Cut(ref, "@")
	return r.cluster[ref] || r.cluster[dgst]
}

// rootfsLayers is an [llb.RootfsLayers] of the images that this build has seen.
func (r *resolver) rootfsLayers(ref string, platform *ocispec.Platform) (int, bool) {
	return remembered(r, r.rootfs, ref, platform)
}

// rootfsTree is an [llb.RootfsTree] of the images that this build has seen.
func (r *resolver) rootfsTree(ref string, platform *ocispec.Platform) ([]byte, bool) {
	return remembered(r, r.trees, ref, platform)
}

func remembered[T any](r *resolver, by map[string]T, ref string, platform *ocispec.Platform) (T, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, dgst, _ := strings.Cut(ref, "@")
	on := onPlatform(platform)
	what, ok := by[ref+on]
	if !ok {
		what, ok = by[dgst+on]
	}
	return what, ok
}

func onPlatform(p *ocispec.Platform) string {
	if p == nil {
		return ""
	}
	return " on " + platforms.FormatAll(platforms.Normalize(*p))
}
