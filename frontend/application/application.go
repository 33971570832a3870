// Package application finds out what a cluster has to run: how the applications of an image are started, by what they consist of, and in
// which order all its commands have.
package application

import (
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"

	"github.com/kubefile/kubefile/imagespec"
)

// App is an application that a build adds.
type App struct {
	Name string `json:"name"`
	Role string `json:"role,omitempty"` // imagespec.RoleCNI, imagespec.RoleCSI, or empty
}

// Launch starts an application. Namespace, Values and Set are for charts; manifests know the namespace only.
type Launch struct {
	App       string   `json:"app"`
	Namespace string   `json:"namespace,omitempty"`
	Values    []string `json:"values,omitempty"` // files, relative to the rootfs
	Set       []string `json:"set,omitempty"`    // NAME=VALUE
}

// Step is one thing to do: exactly one of both.
type Step struct {
	Command *imagespec.Command `json:"command,omitempty"`
	Launch  *Launch            `json:"launch,omitempty"`
}

// Request has the instructions of base image and Kubefile that concern applications and commands.
type Request struct {
	BaseApps   []imagespec.App     `json:"baseApps,omitempty"`
	Commands   []imagespec.Command `json:"commands,omitempty"` // that the base image runs
	Apps       []App               `json:"apps,omitempty"`
	Steps      []Step              `json:"steps,omitempty"`
	WorkingDir string              `json:"workingDir,omitempty"` // of commands, relative to the rootfs; empty is the rootfs itself
	Env        []string            `json:"env,omitempty"`        // NAME=VALUE, from ENV
	// Whole reports that the file system is the whole rootfs, and not only the added files.
	Whole   bool    `json:"whole,omitempty"`
	Changes Changes `json:"changes"` // of the base, in addition to new files
}

// Result has the applications and commands for the config of the image.
type Result struct {
	Apps     []imagespec.App     `json:"apps,omitempty"`
	Commands []imagespec.Command `json:"commands,omitempty"`
	// Origins are the numbers of the request's steps that the commands come from, -1 for those of the base.
	Origins []int `json:"origins,omitempty"`
	// Missing are files that commands need and the rootfs lacks; they are only determined if the request has Whole set.
	Missing []Missing `json:"missing,omitempty"`
	// Failure is set if a step cannot be done; the other fields are empty then.
	Failure *Failure `json:"failure,omitempty"`
}

// Failure describes the error of a step.
type Failure struct {
	Step    int    `json:"step"` // its number in the request
	Message string `json:"message"`
}

// Plan reads the applications that the build adds in fsys, a cluster rootfs or what is new in it. Order is: what the network needs, what
// the storage needs, the commands of the base, those of the Kubefile. A network or storage of the Kubefile's own replaces the base's, and an
// application that is launched again is launched only there.
func Plan(fsys fs.FS, r Request) (*Result, error) {
	p := &plan{fsys: fsys, dir: path.Clean("/" + r.WorkingDir)}
	own := map[string]bool{}
	for _, a := range r.Apps {
		own[a.Name] = true
		commands, err := p.commands(a.Name)
		if err != nil {
			return nil, fmt.Errorf("reading application %s: %w", a.Name, err)
		}
		p.apps = append(p.apps, imagespec.App{Name: a.Name, Role: a.Role, Launch: commands})
	}
	replaced := map[string]bool{}
	for _, a := range slices.Backward(r.BaseApps) {
		if a.Role != "" && slices.ContainsFunc(r.Apps, func(o App) bool { return o.Role == a.Role }) {
			replaced[a.Name] = true
			continue
		}
		if !own[a.Name] {
			p.apps = slices.Insert(p.apps, 0, a)
		}
	}
	for _, s := range r.Steps {
		if s.Launch != nil {
			replaced[s.Launch.App] = true
		}
	}
	var all []planned
	for _, c := range r.Commands {
		if c.App == "" || !replaced[c.App] {
			all = append(all, planned{c, -1})
		}
	}
	for n, s := range r.Steps {
		if s.Command != nil {
			c := *s.Command
			c.Shell = references(c.Shell, r.Env)
			all = append(all, planned{c, n})
			continue
		}
		launched, err := p.launch(*s.Launch)
		if err != nil {
			return &Result{Failure: &Failure{Step: n, Message: err.Error()}}, nil
		}
		for _, c := range launched {
			all = append(all, planned{c, n})
		}
	}
	slices.SortStableFunc(all, func(a, b planned) int { return p.rank(a.Command) - p.rank(b.Command) })
	result := &Result{Apps: p.apps}
	for _, c := range all {
		result.Commands, result.Origins = append(result.Commands, c.Command), append(result.Origins, c.origin)
	}
	if r.Whole {
		result.Missing = p.missing(result.Commands)
	}
	return result, nil
}

// planned is a command and the number of the step that it comes from.
type planned struct {
	imagespec.Command
	origin int
}

type plan struct {
	fsys fs.FS
	dir  string // where commands run, from the root
	apps []imagespec.App
}

func (p *plan) rank(c imagespec.Command) int {
	for _, a := range p.apps {
		if a.Name == c.App && a.Role != "" {
			return slices.Index([]string{imagespec.RoleCNI, imagespec.RoleCSI}, a.Role)
		}
	}
	return 2
}

// relative is a path of the rootfs as commands name it.
func (p *plan) relative(name string) string {
	rel, err := filepath.Rel(p.dir, path.Join("/", name))
	if err != nil {
		return path.Join("/", name)
	}
	return rel
}

// launch returns the commands that start an application according to l.
func (p *plan) launch(l Launch) ([]imagespec.Command, error) {
	at := slices.IndexFunc(p.apps, func(a imagespec.App) bool { return a.Name == l.App })
	if at < 0 {
		return nil, fmt.Errorf("there is no application %s: add it with APP %s …, or use a base image that has it", l.App, l.App)
	}
	if len(p.apps[at].Launch) == 0 {
		return nil, fmt.Errorf("nothing in %s/%s can be started: add a chart, a kustomization, a .sh file or a manifest, or use CMD", imagespec.ApplicationsDir, l.App)
	}
	var commands []imagespec.Command
	charts, scripts := false, false
	for _, c := range p.apps[at].Launch {
		argv := slices.Clone(c.Exec)
		switch argv[0] {
		case helm:
			charts = true
			argv = append(argv, p.chartFlags(l)...)
		case kubectl:
			if l.Namespace != "" {
				argv = append(argv, "--namespace", l.Namespace)
			}
		default:
			scripts = true
		}
		commands = append(commands, imagespec.Command{Exec: argv, App: l.App})
	}
	if (len(l.Values) > 0 || len(l.Set) > 0) && !charts {
		return nil, fmt.Errorf("--values and --set are for charts, and application %s has none", l.App)
	}
	if l.Namespace != "" && scripts {
		return nil, fmt.Errorf("--namespace is for charts and manifests, and application %s is started by a script", l.App)
	}
	return commands, nil
}

func (p *plan) chartFlags(l Launch) []string {
	var flags []string
	if l.Namespace != "" {
		flags = append(flags, "--namespace", l.Namespace, "--create-namespace")
	}
	for _, name := range l.Values {
		flags = append(flags, "--values", p.relative(name))
	}
	for _, value := range l.Set {
		flags = append(flags, "--set", value)
	}
	return flags
}
