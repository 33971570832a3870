// Command sealer-run brings cluster images up on bare hosts, and is the agent on them.
package main

import (
	"context"
	"io"
	"os"
	"runtime/debug"

	"github.com/urfave/cli/v3"

	"github.com/kubefile/kubefile/cmd/commandline"
	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/version"
)

// memoryLimit is how much memory, in bytes, the program takes before garbage is collected more often. By default, Go lets the heap grow to
// twice what is in use, and the connections to hundreds of hosts are in use as long as a run takes. More than that is taken if it is needed.
const memoryLimit = 120 << 20

func main() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	ctx, stop := commandline.Interruptible(context.Background())
	status := run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	app := application()
	app.Reader, app.Writer, app.ErrWriter = stdin, stdout, stderr
	return commandline.Execute(ctx, app, args, resume)
}

// resume is what to do after an interruption of a command: nothing, for those that change nothing.
func resume(cmd *cli.Command) string {
	const again = "run the same command again to resume"
	switch cmd.Name {
	case "sealer-run", "run", "apply", "join", "delete":
		if !cmd.Bool("dry-run") {
			return again
		}
	}
	return ""
}

func application() *cli.Command {
	return &cli.Command{
		Name:      "sealer-run",
		Usage:     "bring a cluster image up on bare hosts, offline",
		UsageText: "sealer-run IMAGE -m MASTERS [-n NODES] [-p PASSWORD|-]\nsealer-run apply -f Clusterfile\nsealer-run COMMAND …\n\nIMAGE is a registry reference, an OCI layout directory, an OCI archive or a docker archive.",
		Version:   version.Get().Version,
		ArgsUsage: "[IMAGE…]",
		Flags:     runFlags(),
		Action:    runImage,
		Commands: []*cli.Command{
			{Name: "run", Usage: "bring images up: one with Kubernetes in it, and applications on it (the default)", ArgsUsage: "[IMAGE…]", Flags: runFlags(), Action: runImage},
			{Name: "apply", Usage: "bring up what a Clusterfile says", ArgsUsage: "[IMAGE…]", Description: applyDescription, Flags: applyFlags(), Action: apply},
			{Name: "plan", Usage: "say what run or apply would do", ArgsUsage: "[IMAGE…]", Description: planDescription, Flags: applyFlags(), Action: plan},
			checkCommand(),
			{Name: "gen", Usage: "print the Clusterfile that says the same as flags, what kubeadm is given, or the schema of Clusterfiles", ArgsUsage: "[IMAGE]", Flags: genFlags(), Action: gen},
			{Name: "join", Usage: "add hosts to a cluster that is running", ArgsUsage: "[IMAGE…]", Description: joinDescription, Flags: joinFlags(), Action: joinHosts},
			{Name: "delete", Usage: "take hosts out of a cluster, or the whole cluster, and leave them as they were before", Description: deleteDescription, Flags: deleteFlags(), Action: deleteHosts},
			{Name: "status", Usage: "show nodes, and the images that were asked for", Flags: statusFlags(), Action: showStatus},
			{Name: "kubeconfig", Usage: "print the administrator's kubeconfig", Flags: siteFlags(), Action: kubeconfig},
			{Name: "inspect", Usage: "show what a cluster image is", ArgsUsage: "IMAGE", Flags: inspectFlags(), Action: inspect},
			verify(),
			{Name: "images", Usage: "list the images in a cluster image", ArgsUsage: "IMAGE", Flags: imagesFlags(), Action: images},
			commandline.VersionCommand(wire.Protocol),
			registry(),
			agentVerb(),
			apiserverProxy(),
		},
	}
}
