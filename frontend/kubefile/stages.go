package kubefile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// Scope selects the stages of a build.
type Scope struct {
	Target     string                  // empty: the last stage
	Platform   map[string]string       // BUILDPLATFORM, TARGETARCH, … as set before the first FROM
	BuildArgs  map[string]string       // --build-arg
	IsReplaced func(stage string) bool // by a named context (--build-context)
	// BaseEnv is the environment of the image that the first stage begins with, as NAME=VALUE. Where it is nil it is not known, and a
	// variable that ARG and ENV do not set may be in it.
	BaseEnv []string
}

// chain returns the numbers of the target stage and of the stages it continues by FROM, the first one first.
func (f *File) chain(scope Scope) ([]int, error) {
	at := len(f.stages) - 1
	if scope.Target != "" {
		at = f.find(len(f.stages), strings.ToLower(scope.Target))
	}
	var chain []int
	for at >= 0 {
		stage := f.stages[at]
		if stage.Name != "" && scope.IsReplaced(stage.Name) {
			break
		}
		chain = append(chain, at)
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

// stageAt returns the number of the stage that the line belongs to.
func (f *File) stageAt(line int) int {
	at := slices.IndexFunc(f.stages, func(s instructions.Stage) bool { return s.Location[0].Start.Line > line })
	if at < 0 {
		at = len(f.stages)
	}
	return at - 1
}

// expand replaces the variables in a FROM line as BuildKit does.
func (f *File) expand(word string, scope Scope) (string, error) {
	env, err := f.global(scope)
	if err != nil {
		return "", err
	}
	result, _, err := shell.NewLex(f.escape).ProcessWord(word, variables(env))
	return result, err
}

// global returns what a FROM line may refer to: platform arguments, then ARGs before the first FROM with their defaults, then what the
// user gave.
func (f *File) global(scope Scope) (map[string]string, error) {
	lex := shell.NewLex(f.escape)
	env := maps.Clone(scope.Platform)
	if env == nil {
		env = map[string]string{}
	}
	for _, arg := range f.args {
		for _, kv := range arg.Args {
			if given, ok := scope.BuildArgs[kv.Key]; ok {
				env[kv.Key] = given
			} else if kv.Value != nil {
				value, _, err := lex.ProcessWord(*kv.Value, variables(env))
				if err != nil {
					return nil, err
				}
				env[kv.Key] = value
			}
		}
	}
	return env, nil
}

// Base is the image or stage in a FROM.
type Base struct {
	Reference string // without variables
	Written   string // as written in the Kubefile
	Place
}

// Bases returns the images that the stages begin with, without scratch and other stages.
func (f *File) Bases(scope Scope) ([]Base, error) {
	var bases []Base
	for at, stage := range f.stages {
		name, err := f.expand(stage.BaseName, scope)
		if err != nil {
			return nil, parser.WithLocation(fmt.Errorf("reading %q: %w", stage.BaseName, err), stage.Location)
		}
		if name != "" && name != "scratch" && f.find(at, name) < 0 && !scope.IsReplaced(name) {
			bases = append(bases, Base{Reference: name, Written: stage.BaseName, Place: Place{Location: stage.Location, Comments: stage.Comments}})
		}
	}
	return bases, nil
}

// Instructions returns the instructions of the target stage, and of the stages it continues, in order.
func (f *File) Instructions(scope Scope) ([]instructions.Command, error) {
	chain, err := f.chain(scope)
	var list []instructions.Command
	for _, at := range chain {
		list = append(list, f.stages[at].Commands...)
	}
	return list, err
}
