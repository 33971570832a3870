package discovery

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/imagespec"
)

const (
	// ruleCommand finds the images that commands and scripts name themselves.
	ruleCommand = "command"
	// CommandFile is the file name of commands in findings: they come from the Kubefile, not from a file of the rootfs. The line is the
	// number of the command.
	CommandFile = "CMD"
)

// usage records how commands and scripts use the files of the rootfs.
type usage struct {
	installs       []install         // of charts
	kustomizations []string          // directories that are built
	applied        map[string]bool   // files and directories that are applied as they are
	written        map[string]string // what scripts write by here-documents
	unclear        bool              // not everything that installs charts was understood
}

// readCommands follows the commands, the scripts that they call, and those that no command calls: the runner starts some of them, people
// the others.
func readCommands(c *collector, t *tree, opts Options) {
	s := newShell(c.fsys)
	s.document = c.readHereDocument
	s.start = func(p program) {
		before := len(c.problems)
		c.program(p)
		for i := range c.problems[before:] {
			// Branches that are followed one by one may not belong together.
			c.problems[before+i].Fatal = c.problems[before+i].Fatal && s.choice.number == 0
		}
	}
	s.absent = func(at imagespec.Finding) { c.needsRest(program{at: at}) }
	s.unread = func(at imagespec.Finding, reason string) {
		c.usage.unclear = true
		c.problem(at.File, at.Line, false, "not followed, because it is not a shell script: %s", reason)
	}
	c.usage = usage{applied: map[string]bool{}, written: s.written}
	for i, line := range opts.Commands {
		s.command(line, opts, imagespec.Finding{File: CommandFile, Line: i + 1, Chain: []string{line}})
	}
	charts := t.dirs("Chart.yaml")
	for _, name := range t.take(isScript) {
		if !s.seen[name] && !isAside(name) && !inside(charts, name) {
			s.script(name)
		}
		if s.steps < 0 {
			c.usage.unclear = true
			c.problem(name, 0, false, "scripts are not followed any further: together they run more than %d statements", maxShellSteps)
			break
		}
	}
}

func isScript(name string) bool {
	return path.Ext(strings.TrimSuffix(name, ".tmpl")) == ".sh"
}

// program notes what one program uses.
func (c *collector) program(p program) {
	at := p.at
	at.Rule, at.Class = ruleCommand, imagespec.ClassStrong
	for _, word := range commandImages(p.words) {
		c.reference(word, at)
	}
	args := p.words[1:]
	switch path.Base(p.words[0]) {
	case "helm", "helm3":
		c.helm(p)
	case "kustomize":
		if len(args) > 0 && args[0] == "build" {
			dirs := slices.DeleteFunc(slices.Clone(args[1:]), func(arg string) bool { return strings.HasPrefix(arg, "-") })
			c.kustomized(p, append(dirs, ".")[0])
		}
	case "helmfile", "make", "python", "python3", "ansible-playbook":
		c.usage.unclear = true
	case "kubectl":
		if len(args) > 1 && args[0] == "kustomize" {
			c.kustomized(p, args[1])
		}
		for _, dir := range flagValues(args, "-k", "--kustomize") {
			c.kustomized(p, dir)
		}
		for _, name := range flagValues(args, "-f", "--filename") {
			c.applies(p, name)
		}
	}
}

func (c *collector) kustomized(p program, dir string) {
	if strings.Contains(dir, "://") || strings.Contains(dir, "github.com/") {
		c.problem(p.at.File, p.at.Line, false, "the kustomization %s is not in the rootfs, so its images are unknown: add its files", dir)
		return
	}
	at := within(p.dir, dir)
	if !slices.ContainsFunc(kustomizationFiles, func(name string) bool { _, err := fs.Stat(c.fsys, path.Join(at, name)); return err == nil }) {
		c.needsRest(p, dir)
	}
	c.usage.kustomizations = append(c.usage.kustomizations, at)
}

func (c *collector) applies(p program, name string) {
	if strings.Contains(name, "://") {
		c.problem(p.at.File, p.at.Line, false, "%s is not in the rootfs, so its images are unknown: add the file and apply that", name)
		return
	}
	c.usage.applied[within(p.dir, name)] = true
}

// readHereDocument searches what a script writes or applies itself, if it is of the shape of a resource.
func (c *collector) readHereDocument(text string, at imagespec.Finding) {
	for _, d := range split([]byte(text)) {
		roots, err := d.parse()
		if err != nil {
			continue // configuration of another kind
		}
		for _, root := range roots {
			var resource struct {
				APIVersion string `yaml:"apiVersion"`
				Kind       string `yaml:"kind"`
			}
			if root.Decode(&resource) != nil || resource.APIVersion == "" || resource.Kind == "" {
				continue
			}
			_ = search(root, func(m match) {
				f := at
				f.Rule, f.Class, f.Chain = m.rule, m.class, append(slices.Clone(at.Chain), m.chain...)
				if at.File != CommandFile {
					f.Line += d.line + m.line
				}
				c.reference(m.reference, f)
			})
		}
	}
}

// flagValues returns the values that a flag is given: "-f a", "--filename=b", and for kubectl's lists "-f a,b".
func flagValues(args []string, short, long string) []string {
	var values []string
	for i, arg := range args {
		value, ok := strings.CutPrefix(arg, long+"=")
		if !ok && strings.HasPrefix(arg, short) && len(arg) > 2 {
			value, ok = strings.TrimPrefix(arg[2:], "="), true
		}
		if !ok && (arg == short || arg == long) && i+1 < len(args) {
			value, ok = args[i+1], true
		}
		if ok {
			values = append(values, strings.Split(value, ",")...)
		}
	}
	return values
}

// commandImages returns the words of a command that are images by their place: image flags ("kubectl run x --image=nginx"), pulls
// ("crictl pull nginx") and "kubectl set image deployment/x c=nginx".
func commandImages(words []string) []string {
	var images []string
	for i, word := range words {
		if value, ok := strings.CutPrefix(word, "--image="); ok {
			images = append(images, value)
		}
		if word == "--image" && i+1 < len(words) {
			images = append(images, words[i+1])
		}
	}
	if len(words) == 0 {
		return images
	}
	name, args := path.Base(words[0]), words[1:]
	if i := slices.Index(args, "pull"); i >= 0 && i+1 < len(args) && isRuntime(name) {
		images = append(images, args[len(args)-1]) // the flags and their values come before it
	}
	if i := slices.Index(args, "set"); i >= 0 && i+1 < len(args) && args[i+1] == "image" && name == "kubectl" {
		for _, arg := range args[i+2:] {
			if _, image, ok := strings.Cut(arg, "="); ok && !strings.HasPrefix(arg, "-") {
				images = append(images, image)
			}
		}
	}
	return images
}

func isRuntime(name string) bool {
	return slices.Contains([]string{"crictl", "ctr", "nerdctl", "docker", "podman"}, name)
}
