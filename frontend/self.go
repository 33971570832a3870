package frontend

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/platforms"
	bkllb "github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/gateway/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/llb"
)

// image is the frontend's own image: its binary runs the steps, and runner and toolbox are in it.
type image struct {
	state    bkllb.State
	platform ocispec.Platform // the daemon's, which it runs on
}

// ownImage returns the image that the daemon started as frontend.
func ownImage(c client.Client, platform ocispec.Platform) (image, error) {
	if current, ok := c.(interface{ CurrentFrontend() (*bkllb.State, error) }); ok {
		st, err := current.CurrentFrontend()
		if err != nil {
			return image{}, fmt.Errorf("reading which image this frontend is: %w", err)
		}
		if st != nil {
			return image{state: *st, platform: platform}, nil
		}
	}
	if ref := c.BuildOpts().Opts["source"]; ref != "" {
		return image{state: bkllb.Image(ref, bkllb.Platform(platform)), platform: platform}, nil
	}
	return image{}, errors.New("BuildKit does not report the image of this frontend: set the option source")
}

// on returns the image for a platform.
func (i image) on(ctx context.Context, platform ocispec.Platform) (bkllb.State, error) {
	if platforms.OnlyStrict(i.platform).Match(platform) {
		return i.state, nil
	}
	st, ok, err := llb.ForPlatform(ctx, i.state, platforms.Normalize(platform))
	if err == nil && !ok {
		err = fmt.Errorf("the frontend's image for %s is needed, but this frontend was not loaded from a registry or a layout", platforms.Format(platform))
	}
	return st, err
}
