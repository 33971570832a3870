// Package kubefile reads the instructions that a Kubefile has in addition to a Dockerfile, and hands the rest, with every line where the
// user wrote it, to BuildKit's own compiler.
package kubefile

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// File is a parsed Kubefile.
type File struct {
	lines  []string // every instruction of a Kubefile's own replaced by what it is in a Dockerfile
	escape rune
	stages []instructions.Stage
	args   []instructions.ArgCommand
	own    []statement
	copies map[int][]string // flags of COPY and ADD, by line
}

// Parse reads a Kubefile. Its errors carry the place in the text as a [parser.LocationError].
func Parse(data []byte) (*File, error) {
	parsed, err := parser.Parse(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	f := &File{lines: strings.Split(string(data), "\n"), escape: parsed.EscapeToken, copies: map[int][]string{}}
	for _, node := range parsed.AST.Children {
		name := strings.ToUpper(node.Value)
		switch name {
		case "COPY", "ADD":
			f.copies[node.StartLine] = node.Flags
			continue
		case "ONBUILD":
			if err := checkTrigger(node); err != nil {
				return nil, parser.WithLocation(err, node.Location())
			}
		}
		read, ok := statements[name]
		if !ok {
			continue
		}
		s, err := read(node)
		if err != nil {
			return nil, parser.WithLocation(fmt.Errorf("%s: %w", name, err), node.Location())
		}
		s.comments = node.PrevComment
		f.own = append(f.own, s)
		f.replace(node.Location(), node.Value, s.dockerfile)
	}
	rest, err := parser.Parse(strings.NewReader(strings.Join(f.lines, "\n")))
	if err != nil {
		return nil, err
	}
	if f.stages, f.args, err = instructions.Parse(rest.AST, linter.New(&linter.Config{})); err != nil {
		return nil, err
	}
	for _, s := range f.own {
		if line := s.location[0].Start.Line; len(f.stages) == 0 || line < f.stages[0].Location[0].Start.Line {
			return nil, parser.WithLocation(fmt.Errorf("%s has to come after the first FROM", s.name), s.location)
		}
	}
	return f, nil
}

// checkTrigger refuses an ONBUILD whose instruction no later build would understand: it is kept in the image as a line of a Dockerfile.
func checkTrigger(node *parser.Node) error {
	words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(node.Original), node.Value))
	if len(words) == 0 {
		return nil
	}
	if _, ok := statements[strings.ToUpper(words[0])]; !ok {
		return nil
	}
	return fmt.Errorf("ONBUILD %s: only instructions of a Dockerfile can wait for a later build", strings.ToUpper(words[0]))
}

// replace puts one line in the place of an instruction. All lines keep their numbers. The keyword is spelled as the user's, because the
// Dockerfile's rules look at that.
func (f *File) replace(location []parser.Range, keyword, line string) {
	first, last := location[0].Start.Line-1, location[len(location)-1].End.Line-1
	for n := first; n <= last; n++ {
		f.lines[n] = "#"
	}
	if line != "" {
		f.lines[first] = spelled(line, keyword)
	}
}

func spelled(line, keyword string) string {
	if keyword == strings.ToLower(keyword) {
		name, rest, _ := strings.Cut(line, " ")
		return strings.ToLower(name) + " " + rest
	}
	return line
}

// Unlinked reports whether the COPY or ADD on the line asks for a plain copy (--link=false).
func (f *File) Unlinked(line int) bool {
	return slices.Contains(f.copies[line], "--link=false")
}

// Dockerfile returns the text for BuildKit's compiler. A Kubefile may say CMD many times, and its CMD is no process that would have
// to receive signals; so that the Dockerfile's rules against both stay silent, only the last CMD of a stage is kept,
// in exec form. All lines keep their numbers.
func (f *File) Dockerfile() []byte {
	out := &File{lines: slices.Clone(f.lines)}
	for _, stage := range f.stages {
		commands := commandsOf(stage)
		for i, c := range commands {
			line := ""
			if i == len(commands)-1 {
				line = execForm(c)
			}
			out.replace(c.Location(), strings.Fields(f.lines[c.Location()[0].Start.Line-1])[0], line)
		}
	}
	return []byte(strings.Join(out.lines, "\n"))
}

func execForm(c *instructions.CmdCommand) string {
	args := c.CmdLine
	if c.PrependShell {
		args = append([]string{"/bin/sh", "-c"}, args...)
	}
	return "CMD " + list(args)
}

func commandsOf(stage instructions.Stage) []*instructions.CmdCommand {
	var commands []*instructions.CmdCommand
	for _, c := range stage.Commands {
		if cmd, ok := c.(*instructions.CmdCommand); ok {
			commands = append(commands, cmd)
		}
	}
	return commands
}
