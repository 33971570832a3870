package frontend

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/llb"
	"github.com/kubefile/kubefile/version"
)

// createdBy is the prefix of history entries without an instruction.
const createdBy = "KUBEFILE "

// lock lists what the result has embedded: the base's images and this build's.
func (p *platformBuild) lock(known []imagespec.LockedImage, images []embedded) (*imagespec.Lock, error) {
	own := imagespec.NewLock(platforms.Format(p.platform))
	own.Images, own.Ignored = known, p.ignored
	for _, e := range images {
		locked := imagespec.LockedImage{
			Reference: e.name.String(),
			Digest:    e.digest,
			MediaType: e.top().MediaType,
			Platforms: []imagespec.LockedPlatform{{Platform: platforms.Format(p.platform), Digest: e.Manifest.Digest}},
			Found:     e.findings,
		}
		seen := map[digest.Digest]bool{}
		for _, b := range e.blobs {
			if !seen[b.Digest] {
				locked.Size += b.Size
			}
			seen[b.Digest] = true
		}
		own.Images = append(own.Images, locked)
	}
	merged := p.base.Lock.Merge(own)
	return merged, merged.Validate()
}

// top is the content that the reference names: the index, or the manifest if there is none.
func (e embedded) top() ocispec.Descriptor {
	if len(e.Indexes) > 0 {
		return e.Indexes[0]
	}
	return e.Manifest
}

// layers are what the image has on top of what the instructions build: runner and lock file, which are of its rootfs, and above them the
// image layers, the base's first.
func (p *platformBuild) layers(ctx context.Context, images []embedded, lock *imagespec.Lock) ([]llb.Layer, error) {
	blobs, files, err := p.store(images)
	if err != nil {
		return nil, err
	}
	lockFile, err := lock.Marshal()
	if err != nil {
		return nil, err
	}
	below := len(p.image.RootFS.DiffIDs)
	most := llb.MaxNewLayers
	if p.control.Layers > 0 {
		most = p.control.Layers
	}
	budget := min(most-p.depth, llb.MaxLayers-below-p.depth) - 2 // without runner and lock file
	if budget < 1 {
		return nil, fmt.Errorf("the image would have more than %d layers, or more than %d new ones: %d come from its base and %d from this Kubefile. "+
			"Join instructions into fewer", llb.MaxLayers, most, below, p.depth)
	}
	layers, err := p.runner(ctx)
	if err != nil {
		return nil, err
	}
	layers = append(layers, llb.Content(llb.File{Path: imagespec.LockPath, Data: lockFile}, "lock file"))
	return append(layers, llb.Layers(blobs, files, budget)...), nil
}

// runner is the layer with the runner of the platform, or none if the base has the same one.
func (p *platformBuild) runner(ctx context.Context) ([]llb.Layer, error) {
	self, err := p.self.on(ctx, p.platform)
	if err != nil {
		return nil, err
	}
	const name = "runner of "
	imageDigest, err := llb.ImageDigest(ctx, self)
	if err != nil {
		return nil, err
	}
	layer := llb.Program(self, llb.RunnerSource, imagespec.RunnerPath, name+imageDigest)
	for _, h := range slices.Backward(p.image.History) {
		if strings.HasPrefix(h.CreatedBy, createdBy+name) {
			if imageDigest != "" && h.CreatedBy == createdBy+layer.Name {
				return nil, nil
			}
			break
		}
	}
	return []llb.Layer{layer}, nil
}

// store is the content of the embedded store that the base has not already.
func (p *platformBuild) store(images []embedded) ([]llb.Blob, []llb.File, error) {
	inBase := map[digest.Digest]bool{}
	for _, locked := range p.base.Lock.Images {
		inBase[locked.Digest] = true
		for _, platform := range locked.Platforms {
			inBase[platform.Digest] = true
		}
	}
	var blobs []llb.Blob
	var files []llb.File
	for _, e := range images {
		for _, b := range e.blobs {
			// an image that is in the base has everything there but, perhaps, these indexes over it
			over := slices.ContainsFunc(e.Indexes, func(d ocispec.Descriptor) bool { return d.Digest == b.Digest })
			if inBase[b.Digest] || inBase[e.Manifest.Digest] && !over {
				continue
			}
			blobs = append(blobs, b)
		}
		refs, err := refFiles(e)
		if err != nil {
			return nil, nil, err
		}
		files = append(files, refs...)
	}
	if len(files) > 0 {
		layout, err := json.Marshal(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
		if err != nil {
			return nil, nil, err
		}
		files = append(files, llb.File{Path: path.Join(imagespec.RegistryDir, ocispec.ImageLayoutFile), Data: layout})
	}
	return blobs, files, nil
}

// refFiles are the descriptors under which the store finds an image.
func refFiles(e embedded) ([]llb.File, error) {
	desc := e.top()
	desc.Annotations = map[string]string{ocispec.AnnotationRefName: e.name.String()}
	dt, err := json.Marshal(desc)
	if err != nil {
		return nil, err
	}
	paths, err := imagespec.RefPaths(e.name)
	if err != nil {
		return nil, err
	}
	var files []llb.File
	for _, name := range paths {
		files = append(files, llb.File{Path: path.Join(imagespec.RegistryDir, name), Data: dt})
	}
	return files, nil
}

// configure writes the config of the image: labels, command, and a history with an entry for every layer.
func (p *platformBuild) configure(df *dockerfile2llb.Result, lock *imagespec.Lock, layers []llb.Layer) error {
	commands, err := json.Marshal(p.planned.Commands)
	if err != nil {
		return err
	}
	apps, err := json.Marshal(p.planned.Apps)
	if err != nil {
		return err
	}
	images, err := lock.Label()
	if err != nil {
		return err
	}
	config := &p.image.Config
	if config.Labels == nil {
		config.Labels = map[string]string{}
	}
	config.Labels[imagespec.LabelVersion] = imagespec.Version
	config.Labels[imagespec.LabelFrontend] = version.Get().Version
	config.Labels[imagespec.LabelKind] = kindOf(config.Labels)
	config.Labels[imagespec.LabelCommands] = string(commands)
	if len(p.planned.Apps) > 0 {
		config.Labels[imagespec.LabelApps] = string(apps)
	}
	config.Labels[imagespec.LabelImages] = images
	if n := len(p.planned.Commands); n > 0 {
		config.Cmd = commandLine(p.planned.Commands[n-1], config.Shell)
	}
	inherited := 0
	if df.BaseImage != nil {
		inherited = len(df.BaseImage.History)
	}
	p.image.History = align(p.image.History, inherited, len(p.image.RootFS.DiffIDs)+p.depth)
	p.image.History = history(p.image.History, layers, df.Epoch)
	return p.checkConfig()
}

// history is the given one with an entry for each new layer.
func history(below []ocispec.History, layers []llb.Layer, created *time.Time) []ocispec.History {
	all := slices.Clone(below)
	for _, l := range layers {
		entry := ocispec.History{CreatedBy: createdBy + l.Name, Created: created}
		if l.Images {
			entry.Comment = imagespec.HistoryImages
		}
		all = append(all, entry)
	}
	return all
}

// commandLine returns the command of a container of the image; the label has all commands.
func commandLine(c imagespec.Command, shell []string) []string {
	if c.Shell == "" {
		return c.Exec
	}
	if len(shell) == 0 {
		shell = []string{"/bin/sh", "-c"}
	}
	return append(append([]string{}, shell...), c.Shell)
}

// align makes the history account for exactly the given number of layers. The compiler's own entries are right; a base that is a
// directory, or an image whose maker wrote none, is not in the history, and some images list layers they have not. inherited is how many
// entries are the base's.
func align(history []ocispec.History, inherited, layers int) []ocispec.History {
	listed := 0
	for _, h := range history {
		if !h.EmptyLayer {
			listed++
		}
	}
	aligned := append([]ocispec.History{}, history[:inherited]...)
	for ; listed < layers; listed++ {
		aligned = append(aligned, ocispec.History{CreatedBy: createdBy + "layer of the base"})
	}
	for i := len(aligned) - 1; i >= 0 && listed > layers; i-- {
		if !aligned[i].EmptyLayer {
			aligned[i].EmptyLayer = true
			listed--
		}
	}
	return append(aligned, history[inherited:]...)
}
