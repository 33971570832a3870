package frontend

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/frontend/subrequests"
	"github.com/moby/buildkit/frontend/subrequests/convertllb"
	"github.com/moby/buildkit/frontend/subrequests/lint"
	"github.com/moby/buildkit/frontend/subrequests/outline"
	"github.com/moby/buildkit/frontend/subrequests/targets"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/frontend/discovery"
)

// requestImages is the subrequest that lists the images which a build would embed, without resolving or fetching them: buildx's
// --call=images.
const requestImages = "frontend.images"

// imagesDefinition describes it, as BuildKit's own subrequests are described.
func imagesDefinition() subrequests.Request {
	return subrequests.Request{
		Name: requestImages, Version: "1.0.0", Type: subrequests.TypeRPC,
		Description: "List the images that a build would embed",
		Metadata:    []subrequests.Named{{Name: "result.json"}, {Name: "result.txt"}},
	}
}

// subrequest answers --call: it is true if there was one.
func (b *build) subrequest(ctx context.Context) (*client.Result, bool, error) {
	switch b.ui.BuildOpts().Opts["requestid"] {
	case requestImages:
		res, err := b.listImages(ctx)
		return res, true, err
	case subrequests.RequestSubrequestsDescribe:
		res, err := describeSubrequests()
		return res, true, err
	}
	text, opt := b.file.Dockerfile(), b.convertOpt(ctx, nil, 0)
	return b.ui.HandleSubrequest(ctx, dockerui.RequestHandler{
		Outline: func(ctx context.Context) (*outline.Outline, error) {
			o, err := dockerfile2llb.Dockerfile2Outline(ctx, text, opt)
			if o != nil {
				o.Sources = [][]byte{b.source.Data}
			}
			return o, err
		},
		ListTargets: func(ctx context.Context) (*targets.List, error) {
			l, err := dockerfile2llb.ListTargets(ctx, text)
			if l != nil {
				l.Sources = [][]byte{b.source.Data}
			}
			return l, err
		},
		Lint: func(ctx context.Context) (*lint.LintResults, error) {
			results, err := dockerfile2llb.DockerfileLint(ctx, text, opt)
			if err != nil {
				return nil, err
			}
			return results, b.lintFile(results)
		},
		ConvertLLB: func(ctx context.Context) (*convertllb.Result, error) {
			return dockerfile2llb.DockerfileConvertLLB(ctx, text, opt)
		},
	})
}

// lintFile adds what the Kubefile's own rules find.
func (b *build) lintFile(results *lint.LintResults) error {
	at := results.AddSource(b.source.SourceMap)
	linter, err := b.linter(func(rule, description, url, message string, location []parser.Range) {
		results.AddWarning(rule, description, url, message, at, location)
	})
	if err != nil {
		return err
	}
	if err := linter.File(b.file, b.scope(b.ui.BuildPlatforms[0])); err != nil {
		return err
	}
	if err := linter.Error(); err != nil && results.Error == nil {
		results.Error = &lint.BuildError{Message: err.Error()}
	}
	return nil
}

// listing are the images that one platform needs.
type listing struct {
	Platform string `json:"platform"`
	discovery.Result
}

// listImages builds the rootfs of each platform and lists the images that are found in what it adds to its base.
func (b *build) listImages(ctx context.Context) (*client.Result, error) {
	if err := b.readContext(ctx); err != nil {
		return nil, err
	}
	var all []listing
	var text bytes.Buffer
	for i, target := range b.platforms() {
		p, df, err := b.compile(ctx, &target, i)
		if err != nil {
			return nil, err
		}
		rootfs, err := p.rootfs(ctx, df.State)
		if err != nil {
			return nil, err
		}
		answer, err := p.scan(ctx, rootfs)
		if err != nil {
			return nil, err
		}
		answer.Discovery.Findings, _ = b.control.Apply(answer.Discovery.Findings, p.platform)
		all = append(all, listing{platforms.Format(p.platform), answer.Discovery})
		fmt.Fprintf(&text, "%s\n", platforms.Format(p.platform))
		if err := answer.Discovery.Write(&text, "table"); err != nil {
			return nil, err
		}
		for _, problem := range answer.Discovery.Problems {
			fmt.Fprintf(&text, "%s: %s\n", place(problem.File, problem.Line), problem.Message)
		}
	}
	dt, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("listing images: %w", err)
	}
	return printed(dt, text.Bytes()), nil
}

// platforms are those to build for.
func (b *build) platforms() []ocispec.Platform {
	if len(b.ui.TargetPlatforms) > 0 {
		return b.ui.TargetPlatforms
	}
	return b.ui.BuildPlatforms[:1]
}

func describeSubrequests() (*client.Result, error) {
	dt, err := json.MarshalIndent([]subrequests.Request{
		outline.SubrequestsOutlineDefinition, targets.SubrequestsTargetsDefinition, lint.SubrequestLintDefinition,
		imagesDefinition(), subrequests.SubrequestsDescribeDefinition,
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("describing the subrequests: %w", err)
	}
	var text bytes.Buffer
	if err := subrequests.PrintDescribe(dt, &text); err != nil {
		return nil, err
	}
	return printed(dt, text.Bytes()), nil
}

func printed(json, text []byte) *client.Result {
	res := client.NewResult()
	res.AddMeta("result.json", json)
	res.AddMeta("result.txt", text)
	res.AddMeta("version", []byte(subrequests.SubrequestsDescribeDefinition.Version))
	return res
}
