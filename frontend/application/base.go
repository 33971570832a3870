package application

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kubefile/kubefile/frontend/command"
	"github.com/kubefile/kubefile/imagespec"
)

// Changes are the changes of a build to its base other than added files.
type Changes struct {
	Environment bool `json:"environment,omitempty"`
	WorkingDir  bool `json:"workingDir,omitempty"`
	Kubernetes  bool `json:"kubernetes,omitempty"` // its version
	// Steps reports that a program ran on the base, which may have removed files.
	Steps bool `json:"steps,omitempty"`
}

// NeedsBase reports whether the files of the base have to be read to know what the commands of the image want, because the build changes
// something that a command of the base may read, or because a command of the Kubefile may read files of the base. fsys is what the build
// adds. In doubt it is true.
func NeedsBase(ctx context.Context, fsys fs.FS, r Request, planned *Result) (bool, error) {
	if r.Changes.Environment || r.Changes.Kubernetes { // templates and charts of the base depend on it
		return true, nil
	}
	of := func(name string) bool {
		return slices.ContainsFunc(r.BaseApps, func(a imagespec.App) bool { return a.Name == name })
	}
	if slices.ContainsFunc(r.Apps, func(a App) bool { return of(a.Name) }) {
		return true, nil // more files for an application of the base
	}
	a, err := readAdded(ctx, fsys, r)
	if err != nil {
		return false, err
	}
	if a.partOfChart {
		return true, nil
	}
	p := &plan{fsys: fsys, dir: path.Clean("/" + r.WorkingDir)}
	for n, c := range planned.Commands {
		inherited := planned.Origins[n] < 0
		if inherited && a.changes(p.uses(c), r.Changes) || !inherited && p.lacks(c) {
			return true, nil
		}
	}
	return false, nil
}

// uses is what a command reads.
type uses struct {
	paths         []string // what a chart is installed from: files and directories, below the root
	anything      bool     // a script, or words that are not known
	kustomization bool     // a kustomization, which may refer to files anywhere
	files         bool     // manifests, which are searched wherever they are
}

// uses reads the parts of a command whose images depend on files. An unknown program is unaffected by files.
func (p *plan) uses(c imagespec.Command) uses {
	var u uses
	programs := command.Read(c)
	u.anything = len(programs) == 0 && c.String() != ""
	for _, program := range programs {
		name, verb := program.Verb()
		switch {
		case name == helm && slices.Contains([]string{"install", "upgrade", "template"}, verb):
			u.anything = u.anything || slices.Contains(program.Words, "")
			u.paths = append(u.paths, p.mentioned(program)...)
		case name == kubectl && isKustomize(program, verb):
			u.kustomization = true
		case name == kubectl:
			u.files = true
		case name == helm:
		case runsAnything(program):
			u.anything = true
		}
	}
	return u
}

func isKustomize(program command.Simple, verb string) bool {
	return verb == "kustomize" || slices.ContainsFunc(program.Words, func(word string) bool {
		return strings.HasPrefix(word, "-k") || strings.HasPrefix(word, "--kustomize")
	})
}

// runsAnything reports whether a program is a shell, a script, one that runs others, or unknown.
func runsAnything(program command.Simple) bool {
	known := []string{"sh", "bash", "ash", "dash", "ksh", ".", "source", "eval", "cd", "kustomize", "helmfile", helm, "helm3", kubectl}
	return strings.Contains(program.Words[0], "/") || slices.ContainsFunc(program.Words, func(word string) bool {
		return word == "" || slices.Contains(known, path.Base(word)) || path.Ext(word) == ".sh"
	})
}

// mentioned returns all that may be a path in the words of a program.
func (p *plan) mentioned(program command.Simple) []string {
	var paths []string
	for _, word := range program.Words[1:] {
		for part := range strings.FieldsFuncSeq(word, func(r rune) bool { return r == '=' || r == ',' }) {
			if strings.ContainsAny(part, "/.") && !strings.Contains(part, "://") {
				paths = append(paths, p.below(part))
			}
		}
	}
	return paths
}

// below is a path that a command names, relative to the root.
func (p *plan) below(name string) string {
	if !path.IsAbs(name) {
		name = path.Join(p.dir, name)
	}
	return strings.TrimPrefix(path.Clean(name), "/")
}

// lacks reports whether a command of the Kubefile wants a file that the build does not add.
func (p *plan) lacks(c imagespec.Command) bool {
	for _, program := range command.Read(c) {
		program.Guarded = false // the base may have what the command looks for
		if slices.ContainsFunc(wants(program), func(file string) bool { return !p.has(file) }) {
			return true
		}
	}
	return false
}

// added are the files that a build adds, by what can depend on them.
type added struct {
	files       []string // all that are not complete in themselves
	documents   []string // resources of Kubernetes, which do unless a kustomization takes them in
	partOfChart bool     // files in a chart whose Chart.yaml the build does not add
}

// changes reports whether what a command of the base wants may be something else now.
func (a *added) changes(u uses, c Changes) bool {
	reads := u.anything || u.kustomization || len(u.paths) > 0
	if c.Steps && reads || c.WorkingDir && (reads || u.files) {
		return true
	}
	if u.anything && len(a.files) > 0 || u.kustomization && len(a.files)+len(a.documents) > 0 {
		return true
	}
	related := func(file string) bool {
		return slices.ContainsFunc(u.paths, func(name string) bool {
			return name == "" || file == name || strings.TrimSuffix(file, ".tmpl") == name || strings.HasPrefix(file, name+"/")
		})
	}
	return slices.ContainsFunc(a.files, related) || slices.ContainsFunc(a.documents, related)
}

// readAdded sorts the files that a build adds, without those of its own applications, which no command of the base uses.
func readAdded(ctx context.Context, fsys fs.FS, r Request) (*added, error) {
	a := &added{}
	own := map[string]bool{}
	for _, app := range r.Apps {
		own[path.Join(imagespec.ApplicationsDir, app.Name)] = true
	}
	charts := map[string]bool{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case d.IsDir() && (own[name] || name == imagespec.RegistryDir || name == path.Dir(imagespec.RunnerPath)):
			return fs.SkipDir
		case d.IsDir():
			if _, err := fs.Stat(fsys, path.Join(name, "Chart.yaml")); err == nil {
				charts[name] = true
			}
			return nil
		}
		inChart := inAny(charts, name)
		a.partOfChart = a.partOfChart || !inChart && looksLikePartOfChart(name)
		kind, err := kindOf(fsys, name, d)
		switch {
		case err != nil:
			return err
		case kind == resource && !inChart:
			a.documents = append(a.documents, name)
		case kind != alone:
			a.files = append(a.files, name)
		}
		return nil
	})
	return a, err
}

// inAny reports whether a file is in one of the directories.
func inAny(dirs map[string]bool, name string) bool {
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		if dirs[dir] {
			return true
		}
		if dir == "." {
			return false
		}
	}
}

// looksLikePartOfChart reports whether a file is in a directory of charts/.
func looksLikePartOfChart(name string) bool {
	parts := strings.Split(name, "/")
	at := slices.Index(parts, "charts")
	return at >= 0 && at+2 < len(parts)
}

// fileKind is what can depend on a file.
type fileKind int

const (
	input    fileKind = iota // of scripts, charts and other programs
	resource                 // of Kubernetes
	alone                    // nothing: a program, a list of images, a text for people
)

// maxDocument limits how much of a document is read to recognise a resource, in bytes.
const maxDocument = 8 << 20

func kindOf(fsys fs.FS, name string, d fs.DirEntry) (fileKind, error) {
	base := path.Base(name)
	switch {
	case !d.Type().IsRegular():
		return input, nil
	case path.Ext(base) == ".md", slices.Contains([]string{"Kubefile", "Dockerfile", "Clusterfile", ".dockerignore", ".kubefile.yaml", "LICENSE"}, base):
		return alone, nil
	case isImageList(name):
		return alone, nil
	}
	text, err := read(fsys, name)
	if err != nil {
		return input, err
	}
	switch path.Ext(base) {
	case ".yaml", ".yml", ".json":
		if !strings.HasPrefix(base, "kustomization.") && areResources(text) {
			return resource, nil
		}
	case ".tgz", ".gz", ".tar", ".zip", ".zst", ".xz":
	default:
		if bytes.IndexByte(text[:min(len(text), 8000)], 0) >= 0 {
			return alone, nil // a compiled program
		}
	}
	return input, nil
}

// isImageList reports whether a file has one of the usual names of image lists.
func isImageList(name string) bool {
	base := strings.ToLower(path.Base(name))
	stem := strings.TrimSuffix(base, path.Ext(base))
	return slices.Contains([]string{"", ".txt", ".list", ".lst"}, path.Ext(base)) && (strings.HasSuffix(stem, "images") || strings.HasSuffix(stem, "imagelist"))
}

func read(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxDocument))
}

// areResources reports whether all documents of a stream are resources of Kubernetes, and none is for kustomize.
func areResources(text []byte) bool {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for n := 0; ; n++ {
		var document struct {
			APIVersion string `yaml:"apiVersion"`
			Kind       string `yaml:"kind"`
		}
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			return n > 0
		}
		if err != nil || len(text) == maxDocument {
			return false
		}
		if len(node.Content) == 1 && node.Content[0].Tag == "!!null" {
			continue
		}
		if node.Decode(&document) != nil || document.APIVersion == "" || document.Kind == "" || strings.Contains(document.APIVersion, "kustomize.config.k8s.io") {
			return false
		}
	}
}
