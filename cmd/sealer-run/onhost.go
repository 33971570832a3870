package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/urfave/cli/v3"

	"github.com/kubefile/kubefile/registryproxy"
	"github.com/kubefile/kubefile/runner/agent"
	"github.com/kubefile/kubefile/runner/environment"
)

// What runs on the hosts: the registry's unit calls registry serve, the runner calls agent and render.

func registry() *cli.Command {
	return &cli.Command{Name: "registry", Hidden: true, Usage: "the embedded registry of a host", Commands: []*cli.Command{{
		Name:  "serve",
		Usage: "serve the images of a cluster image",
		Flags: []cli.Flag{&cli.StringFlag{Name: "config", Required: true, Usage: "the configuration `FILE`"}},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			data, err := os.ReadFile(cmd.String("config"))
			if err != nil {
				return err
			}
			config, err := registryproxy.ParseConfig(data)
			if err != nil {
				return err
			}
			return registryproxy.Serve(ctx, config, slog.New(slog.NewTextHandler(cmd.Root().ErrWriter, nil)))
		},
	}}}
}

func agentVerb() *cli.Command {
	return &cli.Command{
		Name: "agent", Hidden: true, Usage: "do what the delivery machine asks", SkipFlagParsing: true,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return agent.Main(ctx, cmd.Args().Slice(), cmd.Root().Reader, cmd.Root().Writer)
		},
	}
}

// maxEnvironment bounds the environment that render reads, in bytes.
const maxEnvironment = 4 << 20

func render() *cli.Command {
	return &cli.Command{
		Name: "render", Hidden: true, Usage: "render the templates of a rootfs with the environment on the standard input", ArgsUsage: "ROOTFS",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "check", Usage: "write nothing"}},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			var env environment.Set
			if err := json.NewDecoder(io.LimitReader(cmd.Root().Reader, maxEnvironment)).Decode(&env); err != nil {
				return fmt.Errorf("reading the environment: %w", err)
			}
			root, err := os.OpenRoot(cmd.Args().First())
			if err != nil {
				return err
			}
			defer root.Close()
			files, err := environment.Render(ctx, root, env, cmd.Bool("check"))
			if err != nil {
				return err
			}
			if files == nil {
				files = []string{}
			}
			return json.NewEncoder(cmd.Root().Writer).Encode(files)
		},
	}
}
