package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"github.com/kubefile/kubefile/cmd/commandline"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/source/audit"
)

func verify() *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "read a cluster image whole and report everything that is wrong with it", ArgsUsage: "IMAGE",
		Description: `verify reads every byte of an image, for all of its platforms: the digest and size of each blob, whether a host can unpack
the layers, and whether the embedded images are complete and those of the lock. It exits with 1 if there is a problem.

Examples:
   sealer-run verify dashboard.tar                              a file that was copied
   sealer-run verify registry.example.com/dashboard:v2.2.0      what a registry serves
   sealer-run verify ./layout:v2.2.0 --output json              one image of an OCI layout, for a program`,
		Flags: inspectFlags(), Action: verifyImage,
	}
}

func verifyImage(ctx context.Context, cmd *cli.Command) error {
	root := cmd.Root()
	progress := func(platform string, layer, layers int, bytes int64) {
		fmt.Fprintf(root.ErrWriter, "%s: layer %d of %d, %s\n", commandline.Printable(platform), layer, layers, report.Bytes(bytes))
	}
	image := cmd.Args().First()
	audited, err := audit.Run(ctx, image, source.Options{PlainHTTP: cmd.Bool("plain-http")}, progress)
	if audited == nil || ctx.Err() != nil {
		return err
	}
	var printed error
	if cmd.String("output") == "json" {
		printed = commandline.WriteJSON(root.Writer, audited)
	} else {
		printed = printAudit(root.Writer, audited)
	}
	if printed != nil {
		return printed
	}
	if err != nil {
		return err
	}
	if n := len(audited.Problems); n > 0 {
		return fmt.Errorf("%s: problems found: %d; copy or push the image again, and compare its digest with the original's", image, n)
	}
	return nil
}

func printAudit(out io.Writer, audited *audit.Result) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, p := range audited.Platforms {
		fmt.Fprintf(table, "%s\t%s\t%d layers, %s\t%d images\n", commandline.Printable(p.Platform), p.Digest, p.Layers, report.Bytes(p.Bytes), p.Images)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, class := range []struct {
		name     string
		findings []audit.Finding
	}{{"problem", audited.Problems}, {"warning", audited.Warnings}} {
		for _, f := range class.findings {
			platform := f.Platform
			if platform != "" {
				platform += ": "
			}
			if _, err := fmt.Fprintf(out, "%s: %s\n", class.name, commandline.Printable(platform+f.Where+": "+f.Problem)); err != nil {
				return err
			}
		}
	}
	if len(audited.Problems) > 0 {
		return nil
	}
	_, err := fmt.Fprintln(out, "no problems found")
	return err
}
