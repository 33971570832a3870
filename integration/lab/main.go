// Command lab starts and stops what the tests build with: BuildKit, a registry and a stand-in for the public registries.
// It is run in the root of the repository, usually by make.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v3"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().Run(ctx, os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

func command() *cli.Command {
	inLab := func(do func(*lab, context.Context) error) cli.ActionFunc {
		return func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Present() {
				return fmt.Errorf("unexpected argument %q", cmd.Args().First())
			}
			l, unlock, err := open(ctx, cmd.String("out"))
			if err != nil {
				return err
			}
			defer unlock()
			return do(l, ctx)
		}
	}
	return &cli.Command{
		Name:  "lab",
		Usage: "start and stop the services that tests build with",
		Flags: []cli.Flag{&cli.StringFlag{
			Name: "out", Value: "_out", Usage: "directory of the tools and of everything that the lab writes",
		}},
		Commands: []*cli.Command{
			{Name: "images", Usage: "make the images that really run", Action: inLab((*lab).makeImages)},
			{Name: "up", Usage: "start what does not run yet", Action: inLab((*lab).up)},
			{Name: "publish", Usage: "push the frontend image to the lab's registry", Action: inLab((*lab).publish)},
			{Name: "down", Usage: "stop what up started", Action: inLab((*lab).down)},
			upstreamCommand(),
		},
	}
}
