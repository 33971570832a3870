package frontend

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	bkllb "github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/gateway/client"

	"github.com/kubefile/kubefile/frontend/step"
	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/llb"
)

// exportRoom is the space for BuildKit's additions to a config when it exports the image, in bytes.
const exportRoom = 64 << 10

// refuse fails for files and commands that hosts would refuse, at the instruction that they come from.
func (p *platformBuild) refuse(ctx context.Context, rootfs bkllb.State, files []step.Refused) error {
	for n, c := range p.planned.Commands {
		if err := imagespec.CheckCommand(c); err != nil {
			return parser.WithLocation(err, p.instruction(n).Location)
		}
	}
	if len(files) == 0 {
		return nil
	}
	var text strings.Builder
	text.WriteString("hosts would refuse this image:")
	for _, f := range files {
		fmt.Fprintf(&text, "\n%q: %s", "/"+f.Path, f.Why)
	}
	location, err := p.origin(ctx, rootfs, files[0].Path)
	if err != nil {
		return err
	}
	return parser.WithLocation(fmt.Errorf("%s", text.String()), location)
}

// origin finds the instruction that made a file. All that it looks at was built already.
func (p *platformBuild) origin(ctx context.Context, rootfs bkllb.State, name string) ([]parser.Range, error) {
	steps, err := llb.Steps(ctx, rootfs)
	if err != nil {
		return nil, err
	}
	var location []parser.Range
	for _, s := range steps {
		if len(s.Location) > 0 {
			location = s.Location
		}
		ref, err := p.solve(ctx, s.State, p.platform)
		if err != nil {
			return nil, err
		}
		if there(ctx, ref, name) {
			return location, nil
		}
	}
	return nil, nil
}

// there reports whether a step has a file. Statting it would follow a link.
func there(ctx context.Context, ref client.Reference, name string) bool {
	dir, base := path.Split("/" + name)
	files, err := ref.ReadDir(ctx, client.ReadDirRequest{Path: dir})
	if err != nil {
		return false // no such directory yet
	}
	for _, file := range files {
		if file.Path == base {
			return true
		}
	}
	return false
}

// checkConfig reads the config as a site will.
func (p *platformBuild) checkConfig() error {
	data, err := json.Marshal(p.image)
	if err != nil {
		return fmt.Errorf("writing the image config: %w", err)
	}
	if most := imagespec.MaxManifestSize - exportRoom; len(data) > most {
		return fmt.Errorf("the image config would have %d bytes (max %d), most of them for the list of images: split the Kubefile into several images", len(data), most)
	}
	config := p.image.Image
	config.Config = p.image.Config.ImageConfig
	if _, err := imagespec.Describe(config); err != nil {
		return fmt.Errorf("no site could read this image: %w", err)
	}
	return nil
}
