package step

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"

	"github.com/kubefile/kubefile/frontend/application"
	"github.com/kubefile/kubefile/frontend/discovery"
	"github.com/kubefile/kubefile/imagespec"
)

// ScanRequest asks what a rootfs runs and which images it needs for it. The commands to look at are those that the application part of
// the answer has.
type ScanRequest struct {
	Discovery   discovery.Options   `json:"discovery"`
	Application application.Request `json:"application"`
	// BaseStore reports that the embedded store of the base is in the rootfs, because the daemon cannot separate the base.
	BaseStore bool `json:"baseStore,omitempty"`
}

// Scanned is the answer to a [ScanRequest].
type Scanned struct {
	Discovery   discovery.Result   `json:"discovery"`
	Application application.Result `json:"application"`
	Refused     []Refused          `json:"refused,omitempty"`
}

// Scan reads the directory in according to the request, and writes a [Scanned].
func Scan(ctx context.Context, request, in, out string) error {
	var r ScanRequest
	if err := readRequest(request, &r); err != nil {
		return err
	}
	root, err := os.OpenRoot(in)
	if err != nil {
		return err
	}
	defer root.Close()
	planned, err := application.Plan(root.FS(), r.Application)
	if err != nil {
		return err
	}
	inherited := func(c imagespec.Command) bool {
		return slices.ContainsFunc(r.Application.Commands, func(i imagespec.Command) bool { return i.String() == c.String() })
	}
	var own []string
	for _, c := range planned.Commands {
		if inherited(c) {
			r.Discovery.Commands = append(r.Discovery.Commands, c.String())
		} else {
			own = append(own, c.String())
		}
	}
	r.Discovery.Inherited = len(r.Discovery.Commands)
	r.Discovery.Commands = append(r.Discovery.Commands, own...)
	found, err := discovery.Discover(ctx, root.FS(), r.Discovery)
	if err != nil {
		return err
	}
	for chart := range r.Discovery.Values {
		_, err := fs.Stat(root.FS(), path.Clean(chart))
		found.Beyond = found.Beyond || r.Discovery.Partial && (chart == discovery.EveryChart || err != nil)
	}
	if !found.Beyond && r.Discovery.Partial {
		if found.Beyond, err = application.NeedsBase(ctx, root.FS(), r.Application, planned); err != nil {
			return fmt.Errorf("comparing what the build adds with what its base runs: %w", err)
		}
	}
	if !r.BaseStore {
		found.Problems = append(found.Problems, inStore(root.FS())...)
	}
	refused, err := refused(ctx, root.FS())
	if err != nil {
		return err
	}
	return writeAnswer(out, Findings, Scanned{Discovery: *found, Application: *planned, Refused: refused})
}

// inStore reports what the Kubefile itself put into the embedded store. Readers of the image would ignore it (SPEC.md, section 5).
func inStore(fsys fs.FS) []discovery.Problem {
	var problems []discovery.Problem
	for _, name := range imagespec.ReservedPaths() {
		if _, err := fs.Lstat(fsys, name); err == nil {
			problems = append(problems, discovery.Problem{
				File:  name,
				Fatal: true,
				Message: "the embedded images are kept here, and only the build itself adds to them; what a step writes here would reach no host. " +
					"Write it elsewhere; name an image to embed in a manifest or an imageList; inherit images with FROM",
			})
		}
	}
	return problems
}
