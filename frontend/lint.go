package frontend

import (
	"context"
	"fmt"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/kubefile/kubefile/frontend/lint"
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
	built := lint.Built{Charts: p.planned.Uninstalled}
	for _, f := range images {
		where := f.findings[0]
		at := p.locate(where.Chain)
		built.Images = append(built.Images, lint.Image{Reference: f.reference, Place: place(where.File, where.Line), Location: at})
	}
	for _, m := range p.planned.Missing {
		built.Missing = append(built.Missing, lint.Missing{File: m.File, Location: p.locate([]string{m.Command})})
	}
	p.lint.Built(built)
	if err := p.lint.Error(); err != nil {
		return fmt.Errorf("%w (the Kubefile says # check=error=true)", err)
	}
	return nil
}

// locate finds the instruction of a command.
func (p *platformBuild) locate(chain []string) []parser.Range {
	for _, s := range p.content.Steps {
		for _, text := range chain {
			if s.Command != nil && strings.TrimSpace(s.Command.String()) == strings.TrimSpace(text) {
				return s.Location
			}
		}
	}
	return nil
}
