package application

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/imagespec"
)

const (
	helm    = "helm"
	kubectl = "kubectl"

	// maxFiles limits the manifests of one command.
	maxFiles = 4096
	// maxPrefix limits how much of a file is read to recognise its kind, in bytes.
	maxPrefix = 1 << 20
)

// contents is what an application consists of, by paths relative to the rootfs.
type contents struct {
	charts, scripts, manifests []string
	kustomization              bool
}

// manifest finds a document of Kubernetes: templates cannot be parsed, and values files have no kind.
var manifest = regexp.MustCompile(`(?m)^[ \t{]*"?kind"?[ \t]*:`)

// commands returns what starts an application. Scripts know themselves what to do with the rest; manifests go before charts, which may need
// what they define.
func (p *plan) commands(name string) ([]imagespec.Command, error) {
	dir := path.Join(imagespec.ApplicationsDir, name)
	c, err := p.read(dir)
	if err != nil {
		return nil, err
	}
	var commands []imagespec.Command
	add := func(argv ...string) { commands = append(commands, imagespec.Command{Exec: argv, App: name}) }
	if len(c.scripts) > 0 {
		for _, script := range c.scripts {
			interpreter, err := p.interpreter(script)
			if err != nil {
				return nil, err
			}
			add(interpreter, p.relative(script))
		}
		return commands, nil
	}
	if c.kustomization {
		add(kubectl, "apply", "-k", p.relative(dir))
	} else if len(c.manifests) > 0 {
		argv := []string{kubectl, "apply"}
		for _, file := range c.manifests {
			argv = append(argv, "-f", p.relative(file))
		}
		add(argv...)
	}
	for _, chart := range c.charts {
		release := name
		if len(c.charts) > 1 {
			release += "-" + strings.TrimSuffix(path.Base(chart), ".tgz")
		}
		add(helm, "upgrade", "--install", release, "./"+p.relative(chart))
	}
	return commands, nil
}

// read looks at the files of an application. A template (.tmpl) is what it will be at the site.
func (p *plan) read(dir string) (*contents, error) {
	c := &contents{}
	if p.exists(path.Join(dir, "Chart.yaml")) {
		c.charts = []string{dir}
		return c, nil
	}
	seen := map[string]bool{} // a file may be next to its template
	err := fs.WalkDir(p.fsys, dir, func(name string, d fs.DirEntry, err error) error {
		rendered := strings.TrimSuffix(name, ".tmpl")
		switch {
		case errors.Is(err, fs.ErrNotExist) && name == dir:
			return fs.SkipAll // all of it is in the base image
		case err != nil:
			return err
		case d.IsDir() && name != dir && path.Dir(name) == dir && p.exists(path.Join(name, "Chart.yaml")):
			c.charts = append(c.charts, name)
			return fs.SkipDir
		case d.IsDir() || seen[rendered]:
			return nil
		}
		seen[rendered] = true
		return p.file(c, rendered, name, path.Dir(name) == dir)
	})
	slices.Sort(c.charts)
	return c, err
}

func (p *plan) file(c *contents, name, stored string, top bool) error {
	switch base := path.Base(name); path.Ext(base) {
	case ".tgz":
		if top {
			c.charts = append(c.charts, name)
		}
	case ".sh":
		if top {
			c.scripts = append(c.scripts, name)
		}
	case ".yaml", ".yml", ".json":
		if top && strings.HasPrefix(base, "kustomization.") {
			c.kustomization = true
			return nil
		}
		text, err := p.prefix(stored)
		if err != nil || !manifest.Match(text) {
			return err
		}
		c.manifests = append(c.manifests, name)
		if len(c.manifests) > maxFiles {
			return fmt.Errorf("more than %d manifests", maxFiles)
		}
	}
	return nil
}

// interpreter returns bash for a script whose first line names it, otherwise sh.
func (p *plan) interpreter(script string) (string, error) {
	text, err := p.prefix(script)
	if errors.Is(err, fs.ErrNotExist) { // a template
		text, err = p.prefix(script + ".tmpl")
	}
	first, _, _ := strings.Cut(string(text), "\n")
	if strings.HasPrefix(first, "#!") && strings.Contains(first, "bash") {
		return "bash", err
	}
	return "sh", err
}

func (p *plan) exists(name string) bool {
	info, err := fs.Stat(p.fsys, name)
	return err == nil && info.Mode().IsRegular()
}

func (p *plan) prefix(name string) ([]byte, error) {
	f, err := p.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxPrefix))
}
