package application

import (
	"cmp"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/frontend/command"
	"github.com/kubefile/kubefile/imagespec"
)

// Missing is a file that a command wants and the rootfs has not.
type Missing struct {
	Command int    `json:"command"` // its number in the result
	File    string `json:"file"`
}

// missing looks for the files that commands want for certain. It ends at the first program that may itself write some.
func (p *plan) missing(commands []imagespec.Command) []Missing {
	var list []Missing
	var written []string
	for n, c := range commands {
		for _, program := range command.Read(c) {
			for _, file := range wants(program) {
				if !slices.Contains(written, path.Clean(file)) && !p.has(file) {
					list = append(list, Missing{Command: n, File: file})
				}
			}
			if !onlyReads(program) {
				return list
			}
			for _, name := range program.Writes {
				if name == "" {
					return list
				}
				written = append(written, path.Clean(name))
			}
		}
	}
	return list
}

// has reports whether there is such a file or directory, the template it is made from, or something that only a host can follow.
func (p *plan) has(file string) bool {
	name := strings.TrimPrefix(path.Join(p.dir, file), "/")
	for _, candidate := range []string{name, name + ".tmpl", path.Join("bin", file)} { // bin is in PATH, where bash looks, too
		if _, err := fs.Lstat(p.fsys, cmp.Or(candidate, ".")); !errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	return false
}

// onlyReads reports whether a program leaves the rootfs and the working directory of the next program unchanged.
func onlyReads(c command.Simple) bool {
	switch program, verb := c.Verb(); program {
	case "echo", "printf", "sleep", "true", "test", "[", "wait", "export", "set":
		return true
	case kubectl:
		return slices.Contains([]string{"apply", "create", "delete", "get", "wait", "rollout", "label", "annotate", "taint", "patch", "replace", "scale", "set"}, verb)
	case helm:
		return slices.Contains([]string{"install", "upgrade", "uninstall", "list", "status"}, verb)
	}
	return false
}

// wants returns the files that a program reads for certain, relative to where it runs.
func wants(c command.Simple) []string {
	if c.Guarded {
		return nil
	}
	var list []string
	add := func(name string) {
		if name != "" && name != "-" && !path.IsAbs(name) && !strings.ContainsAny(name, ":*?[{") {
			list = append(list, name)
		}
	}
	switch program, verb := c.Verb(); {
	case program == kubectl && slices.Contains([]string{"apply", "create", "delete", "replace"}, verb):
		eachValue(c.Words, []string{"-f", "--filename"}, add)
	case program == helm && (verb == "install" || verb == "upgrade"):
		eachValue(c.Words, []string{"-f", "--values"}, add)
		if last := c.Words[len(c.Words)-1]; strings.HasPrefix(last, "./") && !strings.HasPrefix(c.Words[len(c.Words)-2], "--") {
			add(last) // the chart
		}
	case program == "sh" || program == "bash":
		if len(c.Words) > 1 && path.Ext(c.Words[1]) == ".sh" { // without a directory, bash looks in PATH, too
			add(c.Words[1])
		}
	case strings.Contains(c.Words[0], "/"):
		add(c.Words[0])
	}
	return list
}

// eachValue calls add with what the flags are given; a list has commas.
func eachValue(words, flags []string, add func(string)) {
	for i, word := range words {
		name, value, ok := strings.Cut(word, "=")
		switch {
		case !slices.Contains(flags, name):
			continue
		case !ok && i+1 < len(words):
			value = words[i+1]
		}
		for name := range strings.SplitSeq(value, ",") {
			add(name)
		}
	}
}
