// Package commandlinetest tries every command and every flag of a program, also those that are made later.
package commandlinetest

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"

	"github.com/kubefile/kubefile/cmd/commandline"
)

// canary is a value that may be a secret, and is in no message.
const canary = "c4nary=c4nary,c4nary"

// insides are what the libraries say to programmers.
var insides = regexp.MustCompile(`strconv|parsing "|invalid syntax|flag provided|Incorrect Usage|No help topic|Required flag|%!`)

// program is what is tried.
type program struct {
	t *testing.T
	// new makes the tree of commands.
	new func() *cli.Command
}

// command is one of the program's.
type command struct {
	path  []string // without the name of the program
	at    *cli.Command
	words []string // arguments that it takes
}

// Check tries a program.
func Check(t *testing.T, newProgram func() *cli.Command) {
	p := program{t, newProgram}
	var names []string
	commands := p.commands()
	for _, c := range commands {
		for _, flag := range c.at.Flags {
			names = append(names, flag.Names()...)
		}
	}
	for _, c := range commands {
		t.Run(strings.Join(append([]string{p.new().Name}, c.path...), " "), func(t *testing.T) {
			p := program{t, newProgram}
			p.callable(c)
			p.wordsOf(c)
			for _, flag := range c.at.Flags {
				for _, name := range flag.Names() {
					p.flag(c, flag, dashed(name))
				}
			}
			p.unknownFlags(c, names)
		})
	}
}

// commands are those that read flags, and can be called.
func (p program) commands() (all []command) {
	var walk func(at *cli.Command, path []string)
	walk = func(at *cli.Command, path []string) {
		if at.SkipFlagParsing {
			return
		}
		c := command{path: path, at: at}
		if at.ArgsUsage != "" {
			c.words = []string{"./word.tar"}
		}
		all = append(all, c)
		for _, sub := range at.Commands {
			walk(sub, append(slices.Clone(path), sub.Name))
		}
	}
	walk(p.new(), nil)
	return all
}

// call runs a command whose work is only noted: what it was given, or nil.
func (p program) call(c command, args ...string) (given *cli.Command, out string, status int) {
	p.t.Helper()
	tree := p.new()
	at := tree
	for _, name := range c.path {
		at = at.Command(name)
	}
	if at.Action != nil {
		at.Action = func(_ context.Context, cmd *cli.Command) error {
			given = cmd
			return nil
		}
	}
	var stdout, stderr bytes.Buffer
	tree.Reader, tree.Writer, tree.ErrWriter = strings.NewReader(""), &stdout, &stderr
	status = commandline.Execute(p.t.Context(), tree, args, nil)
	return given, stdout.String() + stderr.String(), status
}

// line is a call of the command with what it needs besides the flags.
func (c command) line(program string, flags ...string) []string {
	args := append([]string{program}, c.path...)
	args = append(args, c.words...)
	for _, flag := range c.at.Flags {
		if isRequired(flag) && !mentions(flags, flag) {
			args = append(args, dashed(flag.Names()[0]), "x")
		}
	}
	return append(args, flags...)
}

func isRequired(flag cli.Flag) bool {
	required, ok := flag.(cli.RequiredFlag)
	return ok && required.IsRequired()
}

func mentions(args []string, flag cli.Flag) bool {
	return slices.ContainsFunc(args, func(arg string) bool {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		return slices.Contains(flag.Names(), name)
	})
}

// refused fails unless a call is an error in one line that says what is wanted, and nothing was done.
func (p program) refused(c command, want string, args ...string) {
	p.t.Helper()
	given, out, status := p.call(c, args...)
	if status != commandline.Usage || given != nil || !strings.Contains(out, want) || strings.Count(out, "\n") != 1 {
		p.t.Errorf("%q: got status %d, done %v, want status %d with %q in:\n%s", args, status, given != nil, commandline.Usage, want, out)
	}
	if strings.Contains(out, "c4nary") || insides.MatchString(out) {
		p.t.Errorf("%q shows a value, or speaks to programmers:\n%s", args, out)
	}
}

// callable: the command can be called with what it needs, and explained.
func (p program) callable(c command) {
	if c.at.Action != nil {
		if given, out, status := p.call(c, c.line("x")...); given == nil || status != 0 {
			p.t.Errorf("%q: got status %d:\n%s", c.line("x"), status, out)
		}
	} else {
		p.refused(c, "no command given", c.line("x")...)
	}
	for _, args := range [][]string{
		append(append([]string{"x"}, c.path...), "--help"),
		append([]string{"x", "help"}, c.path...),
		append(append([]string{"x"}, c.path...), "./word.tar", "-h"),
	} {
		if _, out, status := p.call(c, args...); (status != 0 || !strings.Contains(out, "USAGE")) && (len(c.at.Commands) == 0 || len(args) < len(c.path)+3) {
			p.t.Errorf("%q: got status %d:\n%s", args, status, out)
		}
	}
}

// wordsOf: words that a command does not take are refused.
func (p program) wordsOf(c command) {
	line := c.line("x")
	switch {
	case c.at.ArgsUsage == "" && len(c.at.Commands) == 0:
		p.refused(c, "takes no arguments", append(line, "./word")...)
	case c.at.ArgsUsage != "" && !strings.Contains(c.at.ArgsUsage, "…"):
		p.refused(c, "takes one", append(line, "./word")...)
	}
	if len(c.at.Commands) > 0 {
		p.refused(c, `unknown command "nosuchcommand"`, append(append([]string{"x"}, c.path...), "nosuchcommand")...)
	}
	if strings.Contains(c.at.ArgsUsage, "IMAGE") {
		p.refused(c, `"bareword"`, append(append([]string{"x"}, c.path...), "bareword")...)
		p.refused(c, "an argument is empty", append(append([]string{"x"}, c.path...), "")...)
		p.refused(c, "an argument is empty", append(append([]string{"x"}, c.path...), " ")...)
		p.refused(c, "-5.tar", append(append([]string{"x"}, c.path...), "-5.tar")...)
	}
}

// flag tries one name of a flag.
func (p program) flag(c command, flag cli.Flag, name string) {
	first := dashed(flag.Names()[0])
	if _, isBool := flag.(*cli.BoolFlag); isBool {
		for _, second := range []string{name, first, name + "=false"} {
			p.refused(c, "more than once", c.line("x", name, second)...)
		}
		p.refused(c, "true or false", c.line("x", name+"=c4nary")...)
		p.refused(c, "the value is empty", c.line("x", name+"=")...)
		return
	}
	for _, empty := range [][]string{{name, ""}, {name + "="}} {
		p.refused(c, "flag "+first, c.line("x", empty...)...)
		p.refused(c, "the value is empty", c.line("x", empty...)...)
	}
	if _, isDuration := flag.(*cli.DurationFlag); !isDuration {
		p.refused(c, "the value is empty", c.line("x", name, " \t")...)
	}
	if isRequired(flag) {
		p.refused(c, "flag "+first+" is missing", append(append([]string{"x"}, c.path...), c.words...)...)
	}
	p.refused(c, "needs a value", c.line("x", name)...)
	for _, other := range c.at.Flags {
		p.refused(c, "needs a value", c.line("x", name, dashed(other.Names()[0]))...)
	}
	value, wants := valueOf(flag), "more than once"
	_, isList := flag.(*cli.StringSliceFlag)
	for _, second := range [][]string{{name, value}, {first, value}, {name + "=" + value}} {
		args := c.line("x", append([]string{name, value}, second...)...)
		if !isList {
			p.refused(c, wants, args...)
			continue
		}
		given, out, status := p.call(c, args...)
		if given == nil || !slices.Equal(given.StringSlice(flag.Names()[0]), []string{value, value}) {
			p.t.Errorf("%q: got status %d, want both values, with their commas:\n%s", args, status, out)
		}
	}
	if validates(flag) {
		p.refused(c, "flag "+first, c.line("x", name, "=wrong/value")...)
	}
}

// valueOf is a value that a flag takes: its default, or else what may be a secret.
func valueOf(flag cli.Flag) string {
	if f, ok := flag.(*cli.StringFlag); ok && f.Value != "" {
		return f.Value
	}
	if f, ok := flag.(*cli.DurationFlag); ok {
		return f.Value.String()
	}
	return canary
}

// validates reports whether a flag takes some values only.
func validates(flag cli.Flag) bool {
	switch f := flag.(type) {
	case *cli.DurationFlag:
		return true
	case *cli.StringFlag:
		return f.Validator != nil
	case *cli.StringSliceFlag:
		return f.Validator != nil
	}
	return false
}

// unknownFlags: those of no command and those of other commands.
func (p program) unknownFlags(c command, names []string) {
	for _, flag := range []string{"--nosuchflag", "-Z", "--nosuchflag=c4nary", "--" + strings.Repeat("x", 1000)} {
		p.refused(c, "unknown flag", c.line("x", flag)...)
	}
	own := []string{"help", "h", "version", "v"}
	for _, flag := range c.at.Flags {
		own = append(own, flag.Names()...)
		if _, isBool := flag.(*cli.BoolFlag); !isBool && len(flag.Names()) > 1 && len(flag.Names()[1]) == 1 {
			p.refused(c, fmt.Sprintf("write the value of -%s as a word of its own", flag.Names()[1]), c.line("x", "-"+flag.Names()[1]+"c4nary")...)
		}
	}
	for _, name := range names {
		if !slices.Contains(own, name) {
			p.refused(c, "unknown flag "+dashed(name), c.line("x", dashed(name))...)
		}
	}
	// Flags of the program before a command are not lost.
	if len(c.path) == 0 {
		return
	}
	for _, flag := range p.new().Flags {
		args := []string{"x", dashed(flag.Names()[0])}
		if _, isBool := flag.(*cli.BoolFlag); !isBool {
			args = append(args, valueOf(flag))
		}
		p.refused(c, "flag "+dashed(flag.Names()[0]), append(args, c.line("x")[1:]...)...)
	}
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}
