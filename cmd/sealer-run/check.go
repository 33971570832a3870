package main

import (
	"bytes"
	"context"
	"io"

	"github.com/urfave/cli/v3"

	"github.com/kubefile/kubefile/cmd/commandline"
	"github.com/kubefile/kubefile/runner"
	"github.com/kubefile/kubefile/runner/source"
)

const checkDescription = `Reads the images, logs in to all hosts, runs the checks that a run begins with, and
changes nothing. Errors stop a run before it changes a host; warnings name what will not work. Each
check has a page in docs/checks. The exit status is 0 without errors, 1 with errors or
when the image or the Clusterfile cannot be used, and 2 when the call is wrong.

   sealer-run check ./kubernetes.tar -m 192.168.0.2-192.168.0.4 -n 192.168.0.10-192.168.0.40
   sealer-run check -f Clusterfile
   sealer-run check -f Clusterfile -o json | jq '.findings[] | select(.severity == "error")'`

func checkCommand() *cli.Command {
	return &cli.Command{
		Name: "check", Usage: "check an image and the hosts for it, and change nothing", ArgsUsage: "[IMAGE…]", Description: checkDescription,
		Flags: append(siteFlags(), envFlag(), commandline.OutputFlag(), plainFlag()), Action: checkHosts,
	}
}

func checkHosts(ctx context.Context, cmd *cli.Command) error {
	images, s, err := imagesAndSite(ctx, cmd)
	if err != nil {
		return err
	}
	report, err := runner.Check(ctx, images, source.Options{PlainHTTP: cmd.Bool("plain-http")}, s)
	if err != nil {
		return err
	}
	out := cmd.Root().Writer
	if cmd.String("output") == "json" {
		err = commandline.WriteJSON(out, report)
	} else {
		var text bytes.Buffer
		if err = report.Print(&text); err == nil {
			_, err = io.WriteString(out, commandline.Printable(text.String()))
		}
	}
	if err != nil {
		return err
	}
	return report.Err()
}
