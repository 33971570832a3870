package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/kubefile/kubefile/integration/upstream"
)

// upstreamCommand serves the stand-in until it is told to stop; up starts it in the background.
func upstreamCommand() *cli.Command {
	return &cli.Command{
		Name:  "upstream",
		Usage: "serve the stand-in for the public registries",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "listen", Required: true, Usage: "`HOST:PORT` to listen on"},
			&cli.StringFlag{Name: "layout", Usage: "OCI layout `DIR` with images that really run"},
			&cli.StringFlag{Name: "files", Usage: "`DIR` that is served under /files/"},
			&cli.StringFlag{Name: "references", Usage: "`FILE` that keeps which references were generated"},
			&cli.StringFlag{Name: "access-log", Usage: "`FILE` that requests are appended to"},
		},
		Action: serveUpstream,
	}
}

func serveUpstream(ctx context.Context, cmd *cli.Command) error {
	options := upstream.Options{Layout: cmd.String("layout"), References: cmd.String("references")}
	if dir := cmd.String("files"); dir != "" {
		root, err := os.OpenRoot(dir)
		if err != nil {
			return err
		}
		defer root.Close()
		options.Files = root.FS()
	}
	if name := cmd.String("access-log"); name != "" {
		log, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return err
		}
		defer log.Close()
		options.AccessLog = log
	}
	handler, err := upstream.New(ctx, options)
	if err != nil {
		return err
	}
	server := &http.Server{Addr: cmd.String("listen"), Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.ListenAndServe() }()
	select {
	case err := <-served:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(grace), handler.Close())
}
