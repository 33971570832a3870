package main

import (
	"context"

	"github.com/urfave/cli/v3"

	format "github.com/kubefile/kubefile/imagespec/clusterfile"
	"github.com/kubefile/kubefile/runner"
	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/source"
)

func genFlags() []cli.Flag {
	return append(append(siteFlags(), commandFlags()...), plainFlag(),
		&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "NAME=VALUE for scripts, templates, plugins and commands; may stand many times"},
		&cli.BoolFlag{Name: "kubeadm", Usage: "print the documents that kubeadm is given, and no Clusterfile"},
		&cli.BoolFlag{Name: "schema", Usage: "print the JSON Schema of Clusterfiles, for editors; without IMAGE"})
}

// gen prints the Clusterfile that says the same as the flags. No password is in it.
func gen(ctx context.Context, cmd *cli.Command) error {
	out := cmd.Root().Writer
	if cmd.Bool("schema") {
		if cmd.Args().Present() || cmd.Bool("kubeadm") {
			return usage("the schema is the same for every image: gen --schema stands alone")
		}
		_, err := out.Write(format.Schema())
		return err
	}
	if cmd.Bool("kubeadm") {
		s, err := site(cmd)
		if err != nil {
			return err
		}
		image := s.Clusterfile.Cluster.Image
		if image == "" {
			return usage("no IMAGE, which brings a part of the configuration")
		}
		return runner.Kubeadm(ctx, image, source.Options{PlainHTTP: cmd.Bool("plain-http")}, s, out)
	}
	if _, err := oneImage(cmd); err != nil {
		return err
	}
	if len(cmd.StringSlice("Clusterfile")) > 0 {
		return usage("gen makes a Clusterfile of flags: leave out -f, or add --kubeadm")
	}
	d, err := document(cmd)
	if err != nil {
		return err
	}
	return clusterfile.Generate(out, d, cmd.StringSlice("env"))
}
