package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/urfave/cli/v3"

	"github.com/kubefile/kubefile/cmd/commandline"
	"github.com/kubefile/kubefile/registryproxy"
	"github.com/kubefile/kubefile/runner/agent"
	"github.com/kubefile/kubefile/runner/balancer"
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
				return commandline.FileError("config", err)
			}
			config, err := registryproxy.ParseConfig(data)
			if err != nil {
				return err
			}
			return registryproxy.Serve(ctx, config, slog.New(slog.NewTextHandler(cmd.Root().ErrWriter, nil)))
		},
	}}}
}

func apiserverProxy() *cli.Command {
	return &cli.Command{Name: "apiserver-proxy", Hidden: true, Usage: "the load balancer for the API on a node", Commands: []*cli.Command{{
		Name: "serve", Usage: "pass connections on to the masters",
		Flags: []cli.Flag{&cli.StringFlag{Name: "config", Required: true, Usage: "the configuration `FILE`"}},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			data, err := os.ReadFile(cmd.String("config"))
			if err != nil {
				return commandline.FileError("config", err)
			}
			config, err := balancer.ParseConfig(data)
			if err != nil {
				return err
			}
			return balancer.Serve(ctx, config, slog.New(slog.NewTextHandler(cmd.Root().ErrWriter, nil)))
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
