// Package lint has the rules for what a Kubefile has beyond a Dockerfile. They are printed, skipped ("# check=skip=…", for all of the file
// or right before an instruction) and made errors ("# check=error=true") as BuildKit's own rules for Dockerfiles are.
package lint

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/kubefile/kubefile/frontend/kubefile"
)

// pages is the URL of the pages that explain the rules.
const pages = "https://github.com/kubefile/kubefile/blob/main/docs/rules/"

// Rule is one thing that a Kubefile should not have.
type Rule struct {
	Name        string // CamelCase, as "# check=skip=" names it
	Description string
	// file checks the Kubefile, and built checks the findings of the build. A rule has one of them.
	file  func(f *kubefile.File, scope kubefile.Scope, report report) error
	built func(b Built, report report)
}

// report is told of one place. A pattern narrows it down to the first match in a line of the instruction; empty is all of it.
type report func(at kubefile.Place, pattern, message string)

// RuleName returns the name for BuildKit's linter.
func (r Rule) RuleName() string { return r.Name }

// IsDeprecated reports to BuildKit's linter that every rule is in use.
func (r Rule) IsDeprecated() bool { return false }

// IsExperimental reports to BuildKit's linter that every rule is on without being asked for.
func (r Rule) IsExperimental() bool { return false }

// Run warns of one place.
func (r Rule) Run(warn linter.LintWarnFunc, at []parser.Range, message ...string) {
	warn(r.Name, r.Description, r.URL(), strings.Join(message, " "), at)
}

// URL is the rule's page.
func (r Rule) URL() string { return pages + r.Page() }

// Page is the name of the rule's page: UnpinnedBase has unpinned-base.md.
func (r Rule) Page() string {
	var b strings.Builder
	for i, c := range r.Name {
		if unicode.IsUpper(c) && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String() + ".md"
}

// Rules are all rules, in the order in which they are looked at.
func Rules() []Rule {
	return []Rule{
		{
			Name: "UnpinnedBase", Description: "A base image should have a tag other than latest, or a digest, so that a later build starts from the same one",
			file: unpinnedBase,
		},
		{
			Name: "IgnoredInstruction", Description: "A cluster image is not run as a container, so what only a container's runtime reads has no effect",
			file: ignoredInstruction,
		},
		{
			Name: "CommandList", Description: "A list in CMD is one command and its arguments; a list of command lines is called CMDS",
			file: commandList,
		},
		{
			Name: "NonIdempotentCommand", Description: "Commands run again after an interruption, and should not fail on what they did the first time",
			file: eachCommand(nonIdempotent),
		},
		{
			Name: "SecretInCommand", Description: "Commands are readable in the image's config; pass secrets through the cluster's environment",
			file: eachCommand(secret),
		},
		{
			Name: "CopiedDirectory", Description: "COPY takes what is in a directory, not the directory itself",
			file: copiedDirectory,
		},
		{
			Name: "UnpinnedImage", Description: "An embedded image should have a tag other than latest, or a digest, so that a later build embeds the same one",
			built: unpinnedImage,
		},
		{
			Name: "MissingCommandFile", Description: "A command refers to a file that the rootfs does not have",
			built: missingFile,
		},
		{
			Name: "ChartNotInstalled", Description: "A chart's images are embedded, but no command installs it",
			built: chartNotInstalled,
		},
	}
}

// Linter runs the rules as the user wants them.
type Linter struct {
	linter *linter.Linter
	lines  []string
}

// New reads the check directive of the text; config is the value of the build argument, which overrides it. warn is called for each place.
func New(text []byte, config *linter.Config, warn linter.LintWarnFunc) (*Linter, error) {
	if config == nil {
		directive, _, _, _ := parser.ParseDirective("check", text)
		var err error
		if config, err = linter.ParseLintOptions(directive); err != nil {
			return nil, fmt.Errorf("reading the check directive: %w", err)
		}
	}
	own := *config
	own.Warn = warn
	return &Linter{linter.New(&own), strings.Split(string(text), "\n")}, nil
}

// File runs the rules that need nothing but the Kubefile.
func (l *Linter) File(f *kubefile.File, scope kubefile.Scope) error {
	for _, r := range Rules() {
		if r.file == nil {
			continue
		}
		if err := r.file(f, scope, l.reporter(r)); err != nil {
			return err
		}
	}
	return nil
}

// Built runs the rules that need to know what was built.
func (l *Linter) Built(b Built) {
	for _, r := range Rules() {
		if r.built != nil {
			r.built(b, l.reporter(r))
		}
	}
}

// Error returns an error if there were warnings and the user wants them to be errors.
func (l *Linter) Error() error { return l.linter.Error() }

func (l *Linter) reporter(r Rule) report {
	return func(at kubefile.Place, pattern, message string) {
		l.linter.WithMergedConfigFromComments(at.Comments).Run(r, l.narrow(at.Location, pattern), message)
	}
}

// narrow returns the first match of the pattern in the lines; columns are characters, from 0.
func (l *Linter) narrow(location []parser.Range, pattern string) []parser.Range {
	expression, err := regexp.Compile(pattern)
	if err != nil || pattern == "" {
		return location
	}
	for _, r := range location {
		for line := r.Start.Line; line <= max(r.Start.Line, r.End.Line) && line <= len(l.lines); line++ {
			text := l.lines[line-1]
			if found := expression.FindStringIndex(text); found != nil {
				column := func(offset int) parser.Position {
					return parser.Position{Line: line, Character: utf8.RuneCountInString(text[:offset])}
				}
				return []parser.Range{{Start: column(found[0]), End: column(found[1])}}
			}
		}
	}
	return location
}
