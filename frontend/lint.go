package frontend

import (
	"context"

	"github.com/moby/buildkit/frontend/dockerfile/linter"

	"github.com/kubefile/kubefile/frontend/kubefile"
	"github.com/kubefile/kubefile/frontend/lint"
	"github.com/kubefile/kubefile/imagespec"
)

// linter runs the rules for Kubefiles.
func (b *build) linter(warn linter.LintWarnFunc) (*lint.Linter, error) {
	return lint.New(b.source.Data, b.ui.LinterConfig, warn)
}

// warner prints warnings for one platform only.
func (p *platformBuild) warner(ctx context.Context) linter.LintWarnFunc {
	if !p.warn {
		return nil
	}
	return lintWarner(ctx, p.source)
}

// lintBuilt runs the rules that look at what was built, and fails if the user wants warnings to be errors.
func (p *platformBuild) lintBuilt(images []found) error {
	built := lint.Built{Charts: p.uninstalled}
	for _, f := range images {
		if _, ok := p.pinned.Lookup(f.reference); !ok {
			where := f.findings[0]
			built.Images = append(built.Images, lint.Image{Reference: f.reference, Found: place(where.File, where.Line), At: p.locate(where)})
		}
	}
	for _, m := range p.planned.Missing {
		if p.planned.Origins[m.Command] < 0 {
			continue // the base's own
		}
		built.Missing = append(built.Missing, lint.Missing{File: m.File, At: p.instruction(m.Command)})
	}
	p.lint.Built(built)
	return p.lint.Error()
}

// locate finds the instruction whose command led to the finding.
func (p *platformBuild) locate(f imagespec.Finding) kubefile.Place {
	for n, c := range p.planned.Commands {
		if len(f.Chain) > 0 && f.Chain[0] == c.String() {
			return p.instruction(n)
		}
	}
	return kubefile.Place{}
}

// instruction is the place of a command in the Kubefile, unless the command is the base's.
func (p *platformBuild) instruction(command int) kubefile.Place {
	if command < 0 || command >= len(p.planned.Origins) {
		return kubefile.Place{}
	}
	step := p.planned.Origins[command]
	if step < 0 || step >= len(p.content.Steps) {
		return kubefile.Place{}
	}
	return p.content.Steps[step].Place
}
