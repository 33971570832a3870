package main

import (
	"context"

	"github.com/urfave/cli/v3"

	"github.com/kubefile/kubefile/cmd/commandline"
	format "github.com/kubefile/kubefile/imagespec/clusterfile"
	"github.com/kubefile/kubefile/runner"
	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/source"
)

func genFlags() []cli.Flag {
	return append(append(siteFlags(), commandFlags()...), plainFlag(),
		envFlag(),
		&cli.BoolFlag{Name: "kubeadm", Usage: "print the documents that kubeadm is given, and no Clusterfile"},
		&cli.BoolFlag{Name: "schema", Usage: "print the JSON Schema of Clusterfiles, for editors; without IMAGE"})
}

// gen prints the Clusterfile that says the same as the flags. No password is in it.
func gen(ctx context.Context, cmd *cli.Command) error {
	out := cmd.Root().Writer
	if cmd.Bool("schema") {
		if cmd.Args().Present() || cmd.NumFlags() > 1 {
			return commandline.Usagef("gen --schema takes no IMAGE and no other flags")
		}
		_, err := out.Write(format.Schema())
		return err
	}
	if cmd.Bool("kubeadm") {
		s, err := site(ctx, cmd)
		if err != nil {
			return err
		}
		image := s.Clusterfile.Cluster.Image
		if image == "" {
			return commandline.Usagef("no IMAGE, which brings a part of the configuration")
		}
		return runner.Kubeadm(ctx, image, source.Options{PlainHTTP: cmd.Bool("plain-http")}, s, out)
	}
	if !cmd.Args().Present() {
		return commandline.Usagef("no IMAGE given: sealer-run gen IMAGE -m MASTERS")
	}
	if len(cmd.StringSlice("Clusterfile")) > 0 {
		return commandline.Usagef("gen makes a Clusterfile of flags: leave out -f, or add --kubeadm")
	}
	d, err := document(cmd)
	if err != nil {
		return err
	}
	if _, err := clusterfile.FromDocument(d); err != nil {
		return commandline.Usagef("%v", err)
	}
	return clusterfile.Generate(out, d, cmd.StringSlice("env"))
}
