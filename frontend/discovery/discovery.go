// Package discovery finds the container images that a cluster rootfs will need, by reading what is in it as it will be used: documents
// are parsed, charts are rendered, lists are read. It knows nothing of BuildKit: a file system goes in, findings and problems come
// out, without network.
//
// Each kind of material is read by one source, in a file of its own. A source is given a file or directory that it claims and
// reports through a [collector]; adding a source is adding a line to [sources].
package discovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/imagespec"
)

// Options says how the material will be used.
type Options struct {
	// Commands are the commands that will be run on the cluster, each as one line.
	Commands []string `json:"commands,omitempty"`
	// KubernetesVersion is what charts are rendered for ("v1.34.4"); empty means Helm's own default.
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

// maxFile bounds the files that are read, in bytes: the largest bundles of CRDs known have 3 MB.
const maxFile = 16 << 20

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

// Discover reads the whole of fsys, a cluster rootfs or a part of one. The error is for what ends the search, such as a directory
// that cannot be listed; what is wrong with single files is in the result's problems.
func Discover(ctx context.Context, fsys fs.FS, opts Options) (*Result, error) {
	c := &collector{fsys: fsys, opts: opts}
	readCommands(c)
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if entry.IsDir() && foreign(name) {
			return fs.SkipDir
		}
		if !entry.IsDir() && !entry.Type().IsRegular() {
			return nil
		}
		return c.offer(ctx, name, entry)
	})
	if err != nil {
		return nil, err
	}
	return c.result(), nil
}

// foreign tells the directories of the image that hold no material of the cluster: the embedded images, the runner, and the
// kernel's file systems.
func foreign(name string) bool {
	return name == imagespec.RegistryDir || name == path.Dir(imagespec.RunnerPath) || name == "proc" || name == "sys" || name == "dev"
}

// collector takes what the sources find.
type collector struct {
	fsys     fs.FS
	opts     Options
	findings []Finding
	problems []Problem
}

func (c *collector) offer(ctx context.Context, name string, entry fs.DirEntry) error {
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

// reference adds the finding of a reference as it is written.
func (c *collector) reference(written string, f imagespec.Finding) {
	ref, err := imagespec.ParseReference(strings.TrimSpace(written))
	if err == nil {
		c.findings = append(c.findings, Finding{Reference: ref.String(), Finding: f})
		return
	}
	if strings.Contains(written, "{{") || strings.Contains(written, "${") || strings.Contains(written, "$(") {
		c.problem(f.File, f.Line, false, "the image %q is a template: list what it will be in an imageList", written)
		return
	}
	c.problem(f.File, f.Line, true, "%q is no image reference (rule %s): correct it", written, f.Rule)
}

func (c *collector) problem(file string, line int, fatal bool, format string, args ...any) {
	c.problems = append(c.problems, Problem{File: file, Line: line, Fatal: fatal, Message: fmt.Sprintf(format, args...)})
}

// readFile reads a file that is not too large to be read; otherwise it reports a problem and returns nil.
func (c *collector) readFile(name string) ([]byte, error) {
	info, err := fs.Stat(c.fsys, name)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if info.Size() > maxFile {
		c.problem(name, 0, true, "%d bytes are more than the %d that are searched: split the file, or leave it out", info.Size(), maxFile)
		return nil, nil
	}
	data, err := fs.ReadFile(c.fsys, name)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return data, nil
}

func (c *collector) result() *Result {
	slices.SortStableFunc(c.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Reference, b.Reference), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule))
	})
	findings := slices.CompactFunc(c.findings, func(a, b Finding) bool {
		return a.Reference == b.Reference && a.File == b.File && a.Line == b.Line && a.Rule == b.Rule
	})
	slices.SortStableFunc(c.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return &Result{Findings: findings, Problems: slices.Compact(c.problems)}
}

// errBudget ends the search in a document that costs more than any real one does.
var errBudget = errors.New("more nodes than any real document has")
