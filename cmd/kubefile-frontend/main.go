// Command kubefile-frontend is the BuildKit frontend for Kubefiles. BuildKit starts it without arguments; its subcommands are the steps
// that the frontend runs inside a build, and what a person may run by hand. Called as wget or curl, it acts as that program.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/moby/buildkit/frontend/gateway/grpcclient"
	_ "github.com/moby/buildkit/util/grpcutil/encoding/proto" // the gateway's messages
	"github.com/urfave/cli/v3"

	"github.com/kubefile/kubefile/cmd/commandline"
	"github.com/kubefile/kubefile/frontend"
	"github.com/kubefile/kubefile/frontend/chart"
	"github.com/kubefile/kubefile/frontend/step"
	"github.com/kubefile/kubefile/frontend/toolbox"
	"github.com/kubefile/kubefile/llb"
	"github.com/kubefile/kubefile/version"
)

func main() {
	ctx, stop := commandline.Interruptible(context.Background())
	status := run(ctx, os.Args)
	stop()
	os.Exit(status)
}

func run(ctx context.Context, args []string) int {
	if tool, ok := tools[filepath.Base(args[0])]; ok {
		return tool(ctx, args[1:])
	}
	if len(args) > 1 {
		return commandline.Execute(ctx, application(), args, nil)
	}
	if !startedByBuildKit() {
		fmt.Fprintln(os.Stderr, "kubefile-frontend: no command given: without one, the program runs only inside BuildKit, which starts it for the # syntax line of a Kubefile; see kubefile-frontend discover, version, or --help")
		return commandline.Usage
	}
	if err := grpcclient.RunFromEnvironment(ctx, frontend.Build); err != nil {
		fmt.Fprintln(os.Stderr, "kubefile-frontend:", commandline.Printable(err.Error()))
		return commandline.Failed
	}
	return 0
}

// startedByBuildKit reports whether a BuildKit speaks on the standard input and output. Every version sets all of these variables for a
// frontend, at times to nothing, and none of them for the steps of a build.
func startedByBuildKit() bool {
	return slices.ContainsFunc([]string{"BUILDKIT_SESSION_ID", "BUILDKIT_WORKERS", "BUILDKIT_EXPORTEDPRODUCT"}, func(name string) bool {
		_, set := os.LookupEnv(name)
		return set
	})
}

func application() *cli.Command {
	return &cli.Command{
		Name:      "kubefile-frontend",
		Usage:     "the BuildKit frontend for Kubefiles",
		Version:   version.Get().Version,
		Writer:    os.Stdout,
		ErrWriter: os.Stderr,
		Commands:  []*cli.Command{discover(), commandline.VersionCommand(0), scan(), list(), fetch(), charts()},
	}
}

func scan() *cli.Command {
	return &cli.Command{
		Name:   "scan",
		Usage:  "look for images in a mounted directory (a step of a build)",
		Hidden: true,
		Action: func(ctx context.Context, _ *cli.Command) error {
			return step.Scan(ctx, llb.RequestFile, llb.InputDir, llb.OutputDir)
		},
	}
}

func list() *cli.Command {
	return &cli.Command{
		Name:   "list",
		Usage:  "list the files of a mounted directory (a step of a build)",
		Hidden: true,
		Action: func(ctx context.Context, _ *cli.Command) error {
			return step.List(ctx, llb.InputDir, llb.OutputDir)
		},
	}
}

func fetch() *cli.Command {
	return &cli.Command{
		Name:   "fetch",
		Usage:  "read manifests from registries (a step of a build)",
		Hidden: true,
		Action: func(ctx context.Context, _ *cli.Command) error {
			return step.Fetch(ctx, llb.RequestFile, llb.DockerConfig, llb.CacheDir, llb.OutputDir)
		},
	}
}

func charts() *cli.Command {
	return &cli.Command{
		Name:            "chart",
		Usage:           "fetch charts from repositories and registries (a step of a build)",
		Hidden:          true,
		SkipFlagParsing: true,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return chart.Fetch(ctx, cmd.Args().Slice(), llb.DockerConfig)
		},
	}
}

// tools are the programs that the binary is when it is called so.
var tools = map[string]func(context.Context, []string) int{"wget": toolbox.Wget, "curl": toolbox.Curl}
