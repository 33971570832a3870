package frontend

import (
	"context"
	"errors"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/solver/pb"
)

// located attaches the places in the Kubefile that err names to it, so that the user sees those lines under the error.
func located(err error, source *llb.SourceMap) error {
	var at *parser.LocationError
	if source == nil || !errors.As(err, &at) {
		return err
	}
	for _, ranges := range at.Locations {
		err = errdefs.WithSource(err, &errdefs.Source{
			Info: &pb.SourceInfo{
				Data:       source.Data,
				Filename:   source.Filename,
				Language:   source.Language,
				Definition: source.Definition.ToPB(),
			},
			Ranges: toRanges(ranges),
		})
	}
	return err
}

func toRanges(ranges []parser.Range) []*pb.Range {
	out := make([]*pb.Range, len(ranges))
	for i, r := range ranges {
		out[i] = &pb.Range{
			Start: &pb.Position{Line: int32(r.Start.Line), Character: int32(r.Start.Character)},
			End:   &pb.Position{Line: int32(r.End.Line), Character: int32(r.End.Character)},
		}
	}
	return out
}

// lintWarner prints what the linter finds as BuildKit's own frontend does.
func lintWarner(ctx context.Context, source *dockerui.Source) linter.LintWarnFunc {
	return func(rule, description, url, msg string, ranges []parser.Range) {
		line := 0
		if len(ranges) > 0 {
			line = ranges[0].Start.Line
		}
		source.Warn(ctx, linter.LintFormatShort(rule, msg, line), client.WarnOpts{
			Level:  1,
			Detail: [][]byte{[]byte(description)},
			URL:    url,
			Range:  toRanges(ranges),
		})
	}
}
