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
	withArguments := func(do func(*lab, context.Context, []string) error) cli.ActionFunc {
		return func(ctx context.Context, cmd *cli.Command) error {
			l, unlock, err := open(ctx, cmd.String("out"))
			if err != nil {
				return err
			}
			defer unlock()
			return do(l, ctx, cmd.Args().Slice())
		}
	}
	inLab := func(do func(*lab, context.Context) error) cli.ActionFunc {
		return withArguments(func(l *lab, ctx context.Context, arguments []string) error {
			if len(arguments) > 0 {
				return fmt.Errorf("unexpected argument %q", arguments[0])
			}
			return do(l, ctx)
		})
	}
	return &cli.Command{
		Name:  "lab",
		Usage: "start and stop the services that tests build with",
		Flags: []cli.Flag{&cli.StringFlag{
			Name: "out", Value: "_out", Usage: "directory of the tools and of everything that the lab writes",
		}},
		Commands: []*cli.Command{
			{Name: "images", ArgsUsage: "[SET...]", Usage: "make the images that really run: the small ones and those of the sets (cluster, databases)",
				Action: withArguments((*lab).makeImages)},
			{Name: "up", Usage: "start what does not run yet", Action: inLab((*lab).up)},
			{Name: "publish", ArgsUsage: "ARCHITECTURE...", Usage: "push the frontend image to the lab's registry",
				Action: withArguments((*lab).publish)},
			{Name: "down", Usage: "stop what up started", Action: inLab((*lab).down)},
			upstreamCommand(),
		},
	}
}
