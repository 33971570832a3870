package application

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/frontend/command"
	"github.com/kubefile/kubefile/imagespec"
)

// Missing is a file that a command wants and the rootfs has not.
type Missing struct {
	Command string `json:"command"`
	File    string `json:"file"`
}

// missing looks for the files that commands name for certain: a relative path that no earlier command writes.
func (p *plan) missing(commands []imagespec.Command) []Missing {
	var list []Missing
	var written []string
	for _, c := range commands {
		for _, program := range parse(c) {
			if name, _ := program.Verb(); name == "cd" || name == "pushd" {
				break // other paths are meant from here on
			}
			for _, file := range paths(program.Words) {
				if !slices.Contains(written, path.Clean(file)) && !p.has(path.Join(p.dir, file)[1:]) {
					list = append(list, Missing{Command: c.String(), File: file})
				}
			}
			for _, name := range program.Writes {
				written = append(written, path.Clean(name))
			}
		}
	}
	return list
}

func parse(c imagespec.Command) []command.Simple {
	if c.Shell == "" {
		return []command.Simple{{Words: c.Exec}}
	}
	return command.Parse(c.Shell)
}

// has reports whether the file, or the template it is made from, or a directory of that name is there.
func (p *plan) has(name string) bool {
	for _, candidate := range []string{name, name + ".tmpl"} {
		if _, err := fs.Stat(p.fsys, candidate); err == nil {
			return true
		}
	}
	return false
}

// paths returns the relative paths among the words of a command that can be nothing else.
func paths(words []string) []string {
	var list []string
	add := func(name string) {
		if name != "" && name != "-" && !path.IsAbs(name) && !strings.Contains(name, "://") {
			list = append(list, name)
		}
	}
	program := words[0]
	flags := []string{"-f", "--filename", "-k", "--kustomize", "--values"}
	switch path.Base(program) {
	case kubectl, helm:
		for i, word := range words[1:] {
			name, value, ok := strings.Cut(word, "=")
			switch {
			case slices.Contains(flags, name) && ok:
				add(value)
			case slices.Contains(flags, word) && i+2 < len(words):
				add(words[i+2])
			case strings.HasPrefix(word, "./"):
				add(word)
			}
		}
	case "sh", "bash", "source", ".":
		if len(words) > 1 && !strings.HasPrefix(words[1], "-") {
			add(words[1])
		}
	default:
		if strings.Contains(program, "/") {
			add(program)
		}
	}
	return slices.Compact(list)
}

// uninstalled returns the charts in the rootfs that neither a command nor a script names.
func (p *plan) uninstalled(commands []imagespec.Command) ([]string, error) {
	var named strings.Builder
	for _, c := range commands {
		named.WriteString(c.String() + "\n")
	}
	var charts []string
	err := fs.WalkDir(p.fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == imagespec.RegistryDir || name == ".kubefile" || name == "bin"):
			return fs.SkipDir
		case d.IsDir() && p.exists(path.Join(name, "Chart.yaml")):
			charts = append(charts, name)
			return fs.SkipDir
		case !d.IsDir() && path.Ext(name) == ".sh":
			text, err := p.prefix(name)
			named.Write(text)
			return err
		}
		return nil
	})
	return slices.DeleteFunc(charts, func(chart string) bool { return strings.Contains(named.String(), path.Base(chart)) }), err
}
