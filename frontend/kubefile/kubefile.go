// Package kubefile reads what a Kubefile says beyond a Dockerfile and hands the rest, with every line where the user wrote it, to
// BuildKit's own compiler.
package kubefile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"

	"github.com/kubefile/kubefile/imagespec"
)

// File is a parsed Kubefile.
type File struct {
	data   []byte
	escape rune
	stages []instructions.Stage
	args   []instructions.ArgCommand
	copies map[int][]string // flags of COPY and ADD, by line
}

// Parse reads a Kubefile. Its errors carry the place in the text as a [parser.LocationError].
func Parse(data []byte) (*File, error) {
	parsed, err := parser.Parse(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	stages, args, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		return nil, err
	}
	f := &File{data: data, escape: parsed.EscapeToken, stages: stages, args: args, copies: map[int][]string{}}
	for _, node := range parsed.AST.Children {
		switch strings.ToUpper(node.Value) {
		case "COPY", "ADD":
			f.copies[node.StartLine] = node.Flags
		}
	}
	return f, nil
}

// Unlinked reports whether the COPY or ADD on the line asks for a plain copy (--link=false).
func (f *File) Unlinked(line int) bool {
	return slices.Contains(f.copies[line], "--link=false")
}

// Dockerfile returns the text for BuildKit's compiler. A Kubefile may say CMD many times, and its CMD is no process that would have
// to receive signals; so that the Dockerfile's rules against both stay silent, only the last CMD of a stage is kept,
// in exec form. All lines keep their numbers.
func (f *File) Dockerfile() []byte {
	lines := strings.Split(string(f.data), "\n")
	for _, stage := range f.stages {
		commands := commandsOf(stage)
		for i, c := range commands {
			at := c.Location() // a range for each line
			first, last := at[0].Start.Line-1, at[len(at)-1].End.Line-1
			kept := "#"
			if i == len(commands)-1 {
				kept = execForm(lines[first], c)
			}
			lines[first] = kept
			for n := first + 1; n <= last; n++ {
				lines[n] = "#"
			}
		}
	}
	return []byte(strings.Join(lines, "\n"))
}

// execForm writes c as one line, its keyword spelled as the user did (the Dockerfile's rules look at that).
func execForm(line string, c *instructions.CmdCommand) string {
	args := c.CmdLine
	if c.PrependShell {
		args = append([]string{"/bin/sh", "-c"}, args...)
	}
	list, _ := json.Marshal(args) // strings always marshal
	if args == nil {
		list = []byte("[]")
	}
	keyword := "CMD"
	if fields := strings.Fields(line); len(fields) > 0 && strings.EqualFold(fields[0], keyword) {
		keyword = fields[0]
	}
	return keyword + " " + string(list)
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

// Scope is what decides which stages a build takes.
type Scope struct {
	Target     string                  // empty: the last stage
	Platform   map[string]string       // BUILDPLATFORM, TARGETARCH, … as they stand before the first FROM
	BuildArgs  map[string]string       // --build-arg
	IsReplaced func(stage string) bool // by a named context (--build-context)
}

// Commands returns the commands of the target stage in order, those of the stages it continues first. Docker expands no variables
// in CMD, so neither is done here. An empty list, CMD [], takes back everything before it, the base image's commands
// too: reset then says so.
func (f *File) Commands(scope Scope) (commands []imagespec.Command, reset bool, err error) {
	chain, err := f.chain(scope)
	if err != nil {
		return nil, false, err
	}
	for _, stage := range chain {
		for _, c := range commandsOf(stage) {
			switch {
			case c.PrependShell:
				commands = append(commands, imagespec.Command{Shell: strings.Join(c.CmdLine, " ")})
			case len(c.CmdLine) == 0:
				commands, reset = nil, true
			default:
				commands = append(commands, imagespec.Command{Exec: c.CmdLine})
			}
		}
	}
	return commands, reset, nil
}

// chain returns the target stage and the stages it continues by FROM, the first one first.
func (f *File) chain(scope Scope) ([]instructions.Stage, error) {
	at := len(f.stages) - 1
	if scope.Target != "" {
		at = f.find(len(f.stages), strings.ToLower(scope.Target))
	}
	var chain []instructions.Stage
	for at >= 0 {
		stage := f.stages[at]
		if stage.Name != "" && scope.IsReplaced(stage.Name) {
			break
		}
		chain = append(chain, stage)
		base, err := f.expand(stage.BaseName, scope)
		if err != nil {
			return nil, parser.WithLocation(fmt.Errorf("reading %q: %w", stage.BaseName, err), stage.Location)
		}
		at = f.find(at, base)
	}
	slices.Reverse(chain)
	return chain, nil
}

// find returns the last of the first n stages with the name, or -1.
func (f *File) find(n int, name string) int {
	for i := n - 1; i >= 0; i-- {
		if f.stages[i].Name == name && name != "" {
			return i
		}
	}
	return -1
}

// expand replaces the variables in a FROM line as BuildKit does: platform arguments, then ARGs before the first FROM with
// their defaults, then what the user gave.
func (f *File) expand(word string, scope Scope) (string, error) {
	lex := shell.NewLex(f.escape)
	env := map[string]string{}
	for k, v := range scope.Platform {
		env[k] = v
	}
	environ := func() shell.EnvGetter {
		var list []string
		for k, v := range env {
			list = append(list, k+"="+v)
		}
		return shell.EnvsFromSlice(list)
	}
	for _, arg := range f.args {
		for _, kv := range arg.Args {
			if given, ok := scope.BuildArgs[kv.Key]; ok {
				env[kv.Key] = given
			} else if kv.Value != nil {
				value, _, err := lex.ProcessWord(*kv.Value, environ())
				if err != nil {
					return "", err
				}
				env[kv.Key] = value
			}
		}
	}
	result, _, err := lex.ProcessWord(word, environ())
	return result, err
}
