package kubefile

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// variables is a shell.EnvGetter.
type variables map[string]string

// Get returns the value of a variable.
func (v variables) Get(name string) (string, bool) {
	value, ok := v[name]
	return value, ok
}

// Keys returns the names of all variables.
func (v variables) Keys() []string { return slices.Sorted(maps.Keys(v)) }

// environment follows ARG and ENV through the stages of a build, as BuildKit's compiler does.
type environment struct {
	lex       *shell.Lex
	global    map[string]string // what is set before the first FROM
	buildArgs map[string]string // what the user gave
	set       variables
	complete  bool // the environment of the base image is known
}

func (f *File) environment(scope Scope) (*environment, error) {
	global, err := f.global(scope)
	if err != nil {
		return nil, err
	}
	e := &environment{
		lex: shell.NewLex(f.escape), global: global, buildArgs: scope.BuildArgs, set: variables{}, complete: scope.BaseEnv != nil,
	}
	for _, entry := range scope.BaseEnv {
		name, value, _ := strings.Cut(entry, "=")
		e.set[name] = value
	}
	return e, nil
}

// follow takes what an instruction sets.
func (e *environment) follow(c instructions.Command) error {
	switch c := c.(type) {
	case *instructions.ArgCommand:
		for _, arg := range c.Args {
			value, ok := e.buildArgs[arg.Key]
			if !ok && arg.Value != nil {
				var err error
				if value, _, err = e.lex.ProcessWord(*arg.Value, e.set); err != nil {
					return parser.WithLocation(err, c.Location())
				}
				ok = true
			}
			if !ok {
				value, ok = e.global[arg.Key]
			}
			if ok {
				e.set[arg.Key] = value
			}
		}
	case *instructions.EnvCommand:
		before := maps.Clone(e.set) // an instruction does not see what it sets
		for _, kv := range c.Env {
			value, _, err := e.lex.ProcessWord(kv.Value, before)
			if err != nil {
				return parser.WithLocation(err, c.Location())
			}
			e.set[kv.Key] = value
		}
	}
	return nil
}

// followTo follows the commands before a line, and returns the others.
func (e *environment) followTo(line int, commands []instructions.Command) ([]instructions.Command, error) {
	for len(commands) > 0 && commands[0].Location()[0].Start.Line < line {
		if err := e.follow(commands[0]); err != nil {
			return nil, err
		}
		commands = commands[1:]
	}
	return commands, nil
}

// launch returns l with the variables in its flags replaced.
func (e *environment) launch(l Launch) (Launch, error) {
	var err error
	if l.Namespace, err = e.word("namespace", l.Namespace); err != nil {
		return l, err
	}
	if l.Values, err = e.words("values", l.Values); err != nil {
		return l, err
	}
	l.Set, err = e.words("set", l.Set)
	return l, err
}

func (e *environment) words(flag string, written []string) ([]string, error) {
	var replaced []string
	for _, text := range written {
		value, err := e.word(flag, text)
		if err != nil {
			return nil, err
		}
		replaced = append(replaced, value)
	}
	return replaced, nil
}

// word replaces the variables in the value of a flag. The parser has taken quotes and escapes away already.
func (e *environment) word(flag, written string) (string, error) {
	if !strings.Contains(written, "$") {
		return written, nil
	}
	result, err := e.lex.ProcessWordWithMatches(written, e.set)
	if err != nil {
		return "", fmt.Errorf("--%s=%s: %w", flag, written, err)
	}
	for _, name := range slices.Sorted(maps.Keys(result.Unmatched)) {
		plain := regexp.MustCompile(`\$(` + name + `\b|\{` + name + `\})`)
		switch {
		case !plain.MatchString(written): // ${NAME:-DEFAULT}
		case e.complete:
			return "", fmt.Errorf("--%s=%s: the variable %s is not set; set it by ARG or ENV before this line", flag, written, name)
		default:
			return written, nil
		}
	}
	return result.Result, nil
}
