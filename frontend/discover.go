package frontend

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	bkllb "github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/frontend/gateway/client"

	"github.com/kubefile/kubefile/frontend/application"
	"github.com/kubefile/kubefile/frontend/discovery"
	"github.com/kubefile/kubefile/frontend/step"
	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/llb"
)

// found is a reference with all its findings, the most certain first.
type found struct {
	reference string
	findings  []imagespec.Finding
}

// discover looks for images in what the build adds to its base.
func (p *platformBuild) discover(ctx context.Context, rootfs bkllb.State) ([]found, error) {
	answer, err := p.scan(ctx, rootfs)
	if err != nil {
		return nil, err
	}
	if err := p.report(ctx, answer.Discovery.Problems); err != nil {
		return nil, err
	}
	p.planned, p.uninstalled = answer.Application, answer.Discovery.Uninstalled
	if err := p.refuse(ctx, rootfs, answer.Refused); err != nil {
		return nil, err
	}
	kept, ignored := p.control.Apply(answer.Discovery.Findings, p.platform)
	p.ignored = ignored
	needed := group(kept)
	p.use(answer.Discovery.Findings, needed)
	return needed, nil
}

// scan looks at what the build adds to its base; at all of the rootfs if what the commands want depends on files of the base, as where
// an inherited command installs a chart with values that are changed here. Only then the files of the base are needed.
func (p *platformBuild) scan(ctx context.Context, rootfs bkllb.State) (*step.Scanned, error) {
	base, derived, err := p.derived(ctx, rootfs)
	if err != nil {
		return nil, err
	}
	if !derived {
		return p.ask(ctx, rootfs, p.request(true))
	}
	added, err := llb.Added(ctx, base, rootfs)
	if err != nil {
		return nil, err
	}
	request := p.request(false)
	if request.Application.Changes, err = p.changes(ctx, rootfs); err != nil {
		return nil, err
	}
	part, err := p.ask(ctx, added, request)
	if err != nil || !part.Discovery.Beyond {
		return part, err
	}
	answer, err := p.ask(ctx, rootfs, p.request(true))
	if err != nil {
		return nil, err
	}
	answer.Discovery = withoutUnused(answer.Discovery, part.Discovery.Uninstalled)
	if err := p.withoutOwnOf(ctx, base, answer); err != nil {
		return nil, err
	}
	for _, problem := range part.Discovery.Problems {
		if slices.Contains(imagespec.ReservedPaths(), problem.File) { // which the base has, too
			answer.Discovery.Problems = append(answer.Discovery.Problems, problem)
		}
	}
	return answer, nil
}

// request asks for the images of a rootfs, or of what is new in it.
func (p *platformBuild) request(whole bool) step.ScanRequest {
	return step.ScanRequest{
		Discovery: discovery.Options{
			KubernetesVersion: p.base.KubernetesVersion, Env: p.image.Config.Env, WorkingDir: p.image.Config.WorkingDir,
			Partial: !whole, Values: p.control.Values(),
		},
		Application: p.applications(whole),
		BaseStore:   whole && p.image.Config.Labels[imagespec.LabelVersion] != "",
	}
}

// ask runs the scan step over a rootfs, or a part of one.
func (p *platformBuild) ask(ctx context.Context, scanned bkllb.State, question step.ScanRequest) (*step.Scanned, error) {
	request, err := json.Marshal(question)
	if err != nil {
		return nil, fmt.Errorf("asking for images: %w", err)
	}
	ref, err := p.solve(ctx, llb.Scan(p.self.state, scanned, request), p.self.platform)
	if err != nil {
		return nil, err
	}
	dt, err := dockerui.ReadFile(ctx, ref, step.Findings)
	if err != nil {
		return nil, fmt.Errorf("reading what was discovered: %w", err)
	}
	var answer step.Scanned
	if err := json.Unmarshal(dt, &answer); err != nil {
		return nil, fmt.Errorf("reading what was discovered: %w", err)
	}
	if f := answer.Application.Failure; f != nil && f.Step >= 0 && f.Step < len(p.content.Steps) {
		return nil, parser.WithLocation(errors.New(f.Message), p.content.Steps[f.Step].Location)
	}
	answer.Discovery.Findings = slices.DeleteFunc(answer.Discovery.Findings, func(f discovery.Finding) bool { return p.speaksOfImages(f.File) })
	return &answer, nil
}

// applications returns the request of base and Kubefile for the step that sees the files.
func (p *platformBuild) applications(whole bool) application.Request {
	return withContent(p.content, application.Request{
		BaseApps: p.base.Apps, Commands: p.base.Commands, WorkingDir: p.image.Config.WorkingDir, Env: p.image.Config.Env, Whole: whole,
	})
}

// derived returns the base of a build whose base is a cluster image. The images of such a base are in it already, so that it need not
// even be pulled for what is new. It is false for any other build, all of whose rootfs is new.
func (p *platformBuild) derived(ctx context.Context, rootfs bkllb.State) (base bkllb.State, ok bool, err error) {
	if p.image.Config.Labels[imagespec.LabelVersion] == "" || !p.canDiff() {
		return rootfs, false, nil
	}
	return llb.Base(ctx, rootfs)
}

// report prints the problems that discovery had and fails for those that make its result incomplete.
func (p *platformBuild) report(ctx context.Context, problems []discovery.Problem) error {
	var fatal []error
	for _, problem := range problems {
		text := fmt.Sprintf("%s: %s", place(problem.File, problem.Line), problem.Message)
		if problem.Fatal {
			fatal = append(fatal, errors.New(text))
			continue
		}
		p.warnf(ctx, "%s", text)
	}
	if len(fatal) > 0 {
		return fmt.Errorf("discovering images:\n%w", errors.Join(fatal...))
	}
	return nil
}

// warnf is for what is the same on every platform.
func (p *platformBuild) warnf(ctx context.Context, format string, args ...any) {
	if p.warn {
		p.build.warnf(ctx, format, args...)
	}
}

func (b *build) warnf(ctx context.Context, format string, args ...any) {
	b.source.Warn(ctx, fmt.Sprintf(format, args...), client.WarnOpts{})
}

func place(file string, line int) string {
	if line == 0 {
		return file
	}
	return fmt.Sprintf("%s:%d", file, line)
}

// group puts the findings of one reference together and sorts by reference.
func group(findings []discovery.Finding) []found {
	byReference := map[string]*found{}
	for _, f := range findings {
		g := byReference[f.Reference]
		if g == nil {
			g = &found{reference: f.Reference}
			byReference[f.Reference] = g
		}
		g.findings = append(g.findings, f.Finding)
	}
	var groups []found
	for _, g := range byReference {
		slices.SortFunc(g.findings, func(a, b imagespec.Finding) int {
			return cmp.Or(cmp.Compare(rank(a.Class), rank(b.Class)), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule))
		})
		groups = append(groups, *g)
	}
	slices.SortFunc(groups, func(a, b found) int { return cmp.Compare(a.reference, b.reference) })
	return groups
}

func rank(c imagespec.Class) int {
	return slices.Index([]imagespec.Class{imagespec.ClassCertain, imagespec.ClassStrong, imagespec.ClassMaybe}, c)
}
