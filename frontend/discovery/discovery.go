// Package discovery finds the container images that a cluster rootfs will need, by reading what is in it as it will be used: documents
// are parsed, charts are rendered, lists are read. It knows nothing of BuildKit: a file system goes in, findings and problems come
// out, without network.
//
// Each kind of material is read by one [source], in a file of its own, which takes its files out of the tree and reports to a
// [collector]. Each way in which a document names images is a [rule]. Widening the search is adding a line to [sources] or [rules].
package discovery

import (
	"context"
	"io/fs"

	"github.com/kubefile/kubefile/imagespec"
)

// Options specify how the files will be used.
type Options struct {
	// Commands are the commands that will be run on the cluster, each as one line.
	Commands []string `json:"commands,omitempty"`
	// Env is the environment of the commands, "NAME=VALUE"; WorkingDir is where they start, relative to the rootfs (the default).
	Env        []string `json:"env,omitempty"`
	WorkingDir string   `json:"workingDir,omitempty"`
	// Partial reports that only a part of a rootfs is searched, so commands may name files in the rest.
	Partial bool `json:"partial,omitempty"`
	// Inherited is the number of commands at the beginning that belong to the rest of the rootfs; they were searched together with it.
	Inherited int `json:"inherited,omitempty"`
	// KubernetesVersion is the version for which charts are rendered ("v1.34.4"); empty means the newest that the Helm library knows.
	KubernetesVersion string `json:"kubernetesVersion,omitempty"`
	// Values are additional value sets with which charts are rendered, by the path of the chart in the rootfs; those of [EveryChart] are
	// for charts without an entry. A chart without value sets and commands is rendered with its defaults.
	Values map[string][]ValueSet `json:"values,omitempty"`
	// Ignore are files and directories that are not read, as patterns of [path.Match] for their path in the rootfs.
	Ignore []string `json:"ignore,omitempty"`
}

// OptionError reports an invalid value of an option.
type OptionError struct{ Err error }

func (e *OptionError) Error() string { return e.Err.Error() }

func (e *OptionError) Unwrap() error { return e.Err }

// EveryChart is the key for all charts in [Options].Values.
const EveryChart = "*"

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
	// Uninstalled are the charts, by path, that no command, script, kustomization or option installs. It is empty where that cannot be told.
	Uninstalled []string `json:"uninstalled,omitempty"`
	// Beyond says that a part of a rootfs was searched, and that something in it or in the commands means files of the rest: the result
	// is not complete, and the whole has to be searched.
	Beyond bool `json:"beyond,omitempty"`
}

// source reads one kind of material. It takes the files that it reads, or that need not be read because of it, out of the tree; those
// that are left are for the sources after it.
type source func(ctx context.Context, c *collector, t *tree) error

func sources() []source {
	return []source{readKustomizations, readCharts, readImageLists, readSettings, readDocuments, readKubeadm, readHidden}
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
	c := &collector{fsys: fsys, capabilities: capabilities, kubernetes: opts.KubernetesVersion, values: opts.Values, partial: opts.Partial, inherited: opts.Inherited, inflated: map[string]bool{}}
	t, err := walk(ctx, fsys, opts.Ignore)
	if err != nil {
		return nil, err
	}
	c.beyond = opts.Partial && t.hasPartOfChart()
	readCommands(c, t, opts)
	for _, read := range sources() {
		if err := read(ctx, c, t); err != nil {
			return nil, err
		}
	}
	return c.result(), nil
}
