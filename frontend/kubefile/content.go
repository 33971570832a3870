package kubefile

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/kubefile/kubefile/imagespec"
)

// Step is one thing that is done on the cluster: a command, or an application that is started.
type Step struct {
	Command *imagespec.Command
	Launch  *Launch
	Place
}

// Place is the position of an instruction, with the comments right before it.
type Place struct {
	Location []parser.Range
	Comments []string
}

// PlaceOf returns the place of an instruction that a Dockerfile has, too.
func PlaceOf(c instructions.Command) Place {
	return Place{Location: c.Location(), Comments: c.Comments()}
}

// Content has the instructions, beyond those of a Dockerfile, of the target stage and the stages that it continues.
type Content struct {
	Apps  []App
	Steps []Step // in order
	Reset bool   // CMD [] takes back what the base image runs
	// Supported is the place of KUBEVERSION; nil if there is none.
	Supported []parser.Range
}

// Content reads the stages that a build takes. As in a Dockerfile, variables are replaced in the flags of LAUNCH and not in CMD. An empty
// list, CMD [], takes back everything before it, the base image's commands too.
func (f *File) Content(scope Scope) (*Content, error) {
	chain, err := f.chain(scope)
	if err != nil {
		return nil, err
	}
	env, err := f.environment(scope)
	if err != nil {
		return nil, err
	}
	content := &Content{}
	for _, at := range chain {
		pending := f.stages[at].Commands
		steps := map[int][]Step{} // by line
		reset := 0
		for _, c := range commandsOf(f.stages[at]) {
			line := c.Location()[0].Start.Line
			if len(c.CmdLine) == 0 {
				reset, content.Reset = line, true
			}
			steps[line] = append(steps[line], stepsOf(c)...)
		}
		for _, s := range f.own {
			line := s.location[0].Start.Line
			if f.stageAt(line) != at {
				continue
			}
			if pending, err = env.followTo(line, pending); err != nil {
				return nil, err
			}
			if err := content.take(s, line, steps, env); err != nil {
				return nil, err
			}
		}
		if _, err := env.followTo(math.MaxInt, pending); err != nil {
			return nil, err
		}
		if reset > 0 {
			content.Steps = nil
		}
		for _, line := range slices.Sorted(maps.Keys(steps)) {
			if line > reset {
				content.Steps = append(content.Steps, steps[line]...)
			}
		}
	}
	return content, nil
}

// take adds the content of a statement that Dockerfiles lack to the steps of its line.
func (c *Content) take(s statement, line int, steps map[int][]Step, env *environment) error {
	if s.name == "KUBEVERSION" {
		c.Supported = s.location
	}
	if s.app != nil {
		c.add(*s.app)
		if s.app.Role != "" && !launches(steps, s.app.Name) {
			steps[line] = append(steps[line], Step{Launch: &Launch{App: s.app.Name}, Place: s.place()})
		}
	}
	for _, command := range s.commands {
		steps[line] = append(steps[line], Step{Command: &command, Place: s.place()})
	}
	for _, written := range s.launch {
		l, err := env.launch(written)
		if err != nil {
			return parser.WithLocation(fmt.Errorf("LAUNCH: %w", err), s.location)
		}
		steps[line] = append(steps[line], Step{Launch: &l, Place: s.place()})
	}
	return nil
}

// add puts an application into the list. Several instructions may make up one.
func (c *Content) add(app App) {
	if !slices.ContainsFunc(c.Apps, func(a App) bool { return a.Name == app.Name }) {
		c.Apps = append(c.Apps, app)
	}
}

func launches(steps map[int][]Step, app string) bool {
	for _, list := range steps {
		if slices.ContainsFunc(list, func(s Step) bool { return s.Launch != nil && s.Launch.App == app }) {
			return true
		}
	}
	return false
}

// stepsOf reads a CMD. A list whose first element is a whole command line, as files of the old tool have it, is a list of command lines:
// no program has a space in its name.
func stepsOf(c *instructions.CmdCommand) []Step {
	switch {
	case c.PrependShell:
		return []Step{{Command: &imagespec.Command{Shell: strings.Join(c.CmdLine, " ")}, Place: PlaceOf(c)}}
	case len(c.CmdLine) == 0:
		return nil
	case !IsCommandList(c.CmdLine):
		return []Step{{Command: &imagespec.Command{Exec: c.CmdLine}, Place: PlaceOf(c)}}
	}
	var steps []Step
	for _, line := range c.CmdLine {
		steps = append(steps, Step{Command: &imagespec.Command{Shell: line}, Place: PlaceOf(c)})
	}
	return steps
}

// IsCommandList reports whether the list form of a CMD is not one command but a list of command lines.
func IsCommandList(words []string) bool {
	return len(words) > 0 && strings.ContainsAny(words[0], " \t")
}
