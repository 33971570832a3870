package frontend

import (
	"context"
	"encoding/json"
	"fmt"

	bkllb "github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/dockerui"

	"github.com/kubefile/kubefile/frontend/step"
	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/llb"
)

// listed is the result of the list step, or its error.
type listed struct {
	tree []byte // empty: not known without pulling the base, or too large
	err  error
}

// list runs the list step on the rootfs in parallel with the rest of the build.
func (p *platformBuild) list(ctx context.Context, rootfs bkllb.State) (<-chan listed, error) {
	answer := make(chan listed, 1) // ends with the build's context
	_, derived, err := p.derived(ctx, rootfs)
	if err != nil {
		return nil, err
	}
	files := p.tree
	if !derived { // the scan step reads all of it, too
		files = &rootfs
	}
	if files == nil {
		answer <- listed{}
		return answer, nil
	}
	go func() {
		tree, err := p.listStep(ctx, *files)
		answer <- listed{tree, err}
	}()
	return answer, nil
}

func (p *platformBuild) listStep(ctx context.Context, files bkllb.State) ([]byte, error) {
	ref, err := p.solve(ctx, llb.List(p.self.state, files), p.self.platform)
	if err != nil {
		return nil, err
	}
	tree, err := dockerui.ReadFile(ctx, ref, step.Listed)
	if err != nil {
		return nil, fmt.Errorf("reading the list of the rootfs's files: %w", err)
	}
	return tree, nil
}

// labelRootfs writes the list of files into the config, which is complete but for that.
func (p *platformBuild) labelRootfs(answer <-chan listed) error {
	files := <-answer
	if files.err != nil {
		return files.err
	}
	labels := p.image.Config.Labels
	delete(labels, imagespec.LabelRootfs) // which may be the base's
	if len(files.tree) == 0 {
		return nil
	}
	text, err := json.Marshal(imagespec.TreeLabel{History: len(p.image.History), Tree: files.tree})
	if err != nil {
		return fmt.Errorf("labelling the rootfs: %w", err)
	}
	labels[imagespec.LabelRootfs] = string(text)
	return nil
}
