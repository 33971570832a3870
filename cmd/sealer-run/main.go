// Command sealer-run brings cluster images up on bare hosts, and is the agent on them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/urfave/cli/v3"
)

// version is set by the linker.
var version = "dev"

// Exit codes besides 0.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// errUsage marks errors in how the program was called.
var errUsage = errors.New("see sealer-run --help")

func usage(format string, args ...any) error {
	return fmt.Errorf(format+" (%w)", append(args, errUsage)...)
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	app := application()
	app.Reader, app.Writer, app.ErrWriter = stdin, stdout, stderr
	err := app.Run(ctx, args)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintln(stderr, "sealer-run:", err)
		return exitUsage
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "sealer-run: interrupted: the same command again goes on where this one stopped")
	default:
		fmt.Fprintln(stderr, "sealer-run:", err)
	}
	return exitFailed
}

func application() *cli.Command {
	app := &cli.Command{
		Name:                      "sealer-run",
		Usage:                     "bring a cluster image up on bare hosts, offline",
		UsageText:                 "sealer-run IMAGE -m MASTERS [-n NODES] [-p PASSWORD|-]\nsealer-run apply -f Clusterfile\nsealer-run COMMAND …\n\nIMAGE is a registry reference, an OCI layout directory, an OCI archive or a docker archive.",
		Version:                   version,
		Suggest:                   true,
		DisableSliceFlagSeparator: true, // values of -e have commas
		Flags:                     runFlags(),
		Action:                    runImage,
		OnUsageError:              usageError,
		ExitErrHandler:            func(context.Context, *cli.Command, error) {}, // run decides about exit codes
		Commands: []*cli.Command{
			{Name: "run", Usage: "bring images up: one with Kubernetes in it, and applications on it (the default)", ArgsUsage: "IMAGE…", Flags: runFlags(), Action: runImage},
			{Name: "apply", Usage: "bring up what a Clusterfile says", ArgsUsage: "[IMAGE…]", Flags: runFlags(), Action: apply},
			{Name: "plan", Usage: "say what run or apply would do", ArgsUsage: "[IMAGE…]", Flags: runFlags(), Action: plan},
			{Name: "gen", Usage: "print the Clusterfile that says the same as flags, what kubeadm is given, or the schema of Clusterfiles", ArgsUsage: "[IMAGE]", Flags: genFlags(), Action: gen},
			{Name: "delete", Usage: "leave the hosts as they were before", Flags: deleteFlags(), Action: deleteCluster},
			{Name: "status", Usage: "show nodes, and the images that were asked for", Flags: statusFlags(), Action: status},
			{Name: "kubeconfig", Usage: "print the administrator's kubeconfig", Flags: siteFlags(), Action: kubeconfig},
			{Name: "inspect", Usage: "show what a cluster image is", ArgsUsage: "IMAGE", Flags: inspectFlags(), Action: inspect},
			{Name: "images", Usage: "list the images in a cluster image", ArgsUsage: "IMAGE", Flags: imagesFlags(), Action: images},
			{Name: "version", Usage: "show the version", Action: func(_ context.Context, cmd *cli.Command) error {
				_, err := fmt.Fprintln(cmd.Root().Writer, version)
				return err
			}},
			registry(),
			agentVerb(),
			apiserverProxy(),
			resolve(),
		},
	}
	for _, command := range app.Commands {
		command.OnUsageError = usageError
		command.DisableSliceFlagSeparator = true
	}
	return app
}

// usageError says what is wrong in how the program was called and, for a flag that is none, which one it looks like.
func usageError(_ context.Context, cmd *cli.Command, err error, _ bool) error {
	name, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if !unknown {
		return usage("%v", err)
	}
	if len(name) > 1 {
		name = "-" + name
	}
	if like := cli.SuggestFlag(cmd.Flags, strings.TrimLeft(name, "-"), true); like != "" {
		return usage("no flag -%s: did you mean %s?", name, like)
	}
	return usage("no flag -%s", name)
}
