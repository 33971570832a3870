package frontend

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/kubefile/kubefile/frontend/control"
	"github.com/kubefile/kubefile/imagespec"
)

// resolveLimit limits how many references are resolved at once.
const resolveLimit = 16

// wanted is a reference to embed, with the digests that the gateway resolved it to.
type wanted struct {
	found
	name   reference.Named
	source reference.Named // where it is fetched from
	digest digest.Digest   // of the index or manifest
	config digest.Digest   // of the platform's image
}

// known returns the references that the base has embedded already, as the lock of this build will list them, and the others.
func (p *platformBuild) known(references []found) (known []imagespec.LockedImage, others []found) {
	for _, f := range references {
		if locked, ok := p.base.Lock.Lookup(f.reference); ok {
			locked.Found = f.findings
			known = append(known, locked)
		} else {
			others = append(others, f)
		}
	}
	return known, others
}

// resolve asks BuildKit for the digest of every reference: with the user's credentials, the daemon's mirrors and the source
// policies. All that fail are reported at once.
func (p *platformBuild) resolve(ctx context.Context, references []found) ([]wanted, error) {
	results := make([]*wanted, len(references))
	var mu sync.Mutex
	failures := map[int]error{}
	group, resolving := errgroup.WithContext(ctx) // ends with Wait
	group.SetLimit(resolveLimit)
	for i, f := range references {
		group.Go(func() error {
			w, err := p.resolveOne(resolving, f)
			if resolving.Err() != nil {
				return resolving.Err()
			}
			mu.Lock()
			defer mu.Unlock()
			results[i] = w
			if err != nil {
				failures[i] = err
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var images []wanted
	var report unresolved
	for i, f := range references {
		err, failed := failures[i]
		switch {
		case failed && p.control.Strictness(f.findings[0].Class) == control.Warn:
			p.build.warnf(ctx, "%s looks like an image at %s, but it cannot be resolved, and is left out of %s: %v",
				f.reference, place(f.findings[0].File, f.findings[0].Line), platforms.Format(p.platform), err)
		case failed:
			report = append(report, failure{found: f, err: err})
		case results[i] != nil:
			images = append(images, *results[i])
		}
	}
	if len(report) > 0 {
		return nil, report
	}
	return images, nil
}

func (p *platformBuild) resolveOne(ctx context.Context, f found) (*wanted, error) {
	name, err := imagespec.ParseReference(f.reference)
	if err != nil {
		return nil, err
	}
	source, err := p.sourceOf(name)
	if err != nil {
		return nil, err
	}
	_, dgst, config, err := p.gateway.ResolveImageConfig(ctx, source.String(), sourceresolver.Opt{
		LogName: "[kubefile] resolve " + source.String(),
		ImageOpt: &sourceresolver.ResolveImageOpt{
			Platform:    &p.platform,
			ResolveMode: p.ui.ImageResolveMode.String(),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("resolving it for %s: %w", platforms.Format(p.platform), err)
	}
	var image ocispec.Image
	if err := json.Unmarshal(config, &image); err != nil {
		return nil, fmt.Errorf("its config is not an image config: %w", err)
	}
	if !platforms.Only(p.platform).Match(image.Platform) {
		return nil, fmt.Errorf("it is an image for %s, and %s is built", platforms.Format(image.Platform), platforms.Format(p.platform))
	}
	return &wanted{found: f, name: name, source: source, digest: dgst, config: digest.FromBytes(config)}, nil
}

// failure is one reference that cannot be embedded.
type failure struct {
	found
	err error
}

// unresolved returns the error that lists every reference that cannot be embedded, its place and what to do.
type unresolved []failure

func (u unresolved) Error() string {
	var b strings.Builder
	if len(u) == 1 {
		b.WriteString("an image cannot be embedded:\n")
	} else {
		fmt.Fprintf(&b, "%d images cannot be embedded:\n", len(u))
	}
	for _, f := range u {
		for _, finding := range f.findings {
			fmt.Fprintf(&b, "%s: %s (%s)\n", place(finding.File, finding.Line), f.reference, finding.Rule)
		}
		fmt.Fprintf(&b, "    %v\n", f.err)
	}
	b.WriteString("Correct or remove these references in the files, or ignore them with a reason in " + control.FileName +
		" (and platforms, where only some lack them); for images of a private registry, log in to it (docker login) and build again.")
	return b.String()
}
