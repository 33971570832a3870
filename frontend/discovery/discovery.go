// Package discovery finds the container images that a cluster rootfs will need, by reading what is in it as it will be used: documents
// are parsed, charts are rendered, lists are read. It knows nothing of BuildKit: a file system goes in, findings and problems come
// out, without network.
//
// Each kind of material is read by one source, in a file of its own. A source is given a file or directory that it claims and
// reports through a [collector]; adding a source is adding a line to [sources].
package discovery

import (
	"context"
	"fmt"
	"io/fs"
	"path"

	"github.com/kubefile/kubefile/imagespec"
)

// Options says how the material will be used.
type Options struct {
	// Commands are the commands that will be run on the cluster, each as one line.
	Commands []string `json:"commands,omitempty"`
	// KubernetesVersion is what charts are rendered for ("v1.34.4"); empty means the newest that the Helm library knows.
	KubernetesVersion string `json:"kubernetesVersion,omitempty"`
}

// Finding is one place that needs an image.
type Finding struct {
	Reference string `json:"reference"` // in full form
	imagespec.Finding
}

// Problem is something that could not be read, and may therefore hide an image.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"` // from 1; 0 when not known
	Message string `json:"message"`        // what is wrong and what to do
	// Fatal problems make the result incomplete; the others are worth a warning.
	Fatal bool `json:"fatal,omitempty"`
}

// Result is everything that was found, sorted by reference, file and line.
type Result struct {
	Findings []Finding `json:"findings"`
	Problems []Problem `json:"problems,omitempty"`
}

// source reads one kind of material.
type source struct {
	// claims reports whether the source reads the file or directory. A directory that is claimed is not entered by others.
	claims func(fsys fs.FS, name string, entry fs.DirEntry) bool
	read   func(ctx context.Context, c *collector, name string) error
}

// sources are asked in order; the first that claims a file or directory reads it.
func sources() []source {
	return []source{
		{claims: isChartDir, read: readChartDir},
		{claims: isChartArchive, read: readChartArchive},
		{claims: isImageList, read: readImageList},
		{claims: isDocument, read: readDocuments},
	}
}

// Discover reads the whole of fsys, a cluster rootfs or a part of one, once. Whoever opens fsys decides what a symbolic link may reach:
// [os.Root.FS] keeps it inside, [os.DirFS] does not.
//
// The error is for what ends the search: a directory that cannot be listed, a Kubernetes version that is none, the end of ctx. What
// is wrong with single files is in the result's problems.
func Discover(ctx context.Context, fsys fs.FS, opts Options) (*Result, error) {
	capabilities, err := capabilitiesOf(opts.KubernetesVersion)
	if err != nil {
		return nil, err
	}
	c := &collector{fsys: fsys, capabilities: capabilities}
	readCommands(c, opts.Commands)
	err = fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if entry.IsDir() && ours(name) {
			return fs.SkipDir
		}
		// What a link leads to is read where it lies.
		if !entry.IsDir() && !entry.Type().IsRegular() {
			return nil
		}
		return offer(ctx, c, name, entry)
	})
	if err != nil {
		return nil, err
	}
	return c.result(), nil
}

// ours tells the directories that the format puts into an image: the store of embedded images and the runner.
func ours(name string) bool {
	return name == imagespec.RegistryDir || name == path.Dir(imagespec.RunnerPath)
}

// offer gives a file or directory to the source that claims it.
func offer(ctx context.Context, c *collector, name string, entry fs.DirEntry) error {
	for _, s := range sources() {
		if !s.claims(c.fsys, name, entry) {
			continue
		}
		if err := s.read(ctx, c, name); err != nil {
			return err
		}
		if entry.IsDir() {
			return fs.SkipDir
		}
		return nil
	}
	return nil
}
