package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v3"

	"github.com/kubefile/kubefile/frontend/discovery"
)

func discover() *cli.Command {
	return &cli.Command{
		Name:      "discover",
		Usage:     "print the images that a directory needs, offline and without BuildKit",
		ArgsUsage: "DIR",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "cmd", Usage: "a command that is run on the cluster, as CMD says it: \"helm install …\"; may be given several times"},
			&cli.StringFlag{Name: "kube-version", Usage: "the Kubernetes version that charts are rendered for, such as v1.34.4"},
			&cli.StringFlag{Name: "format", Value: "lines", Usage: "lines (certain and strong references), table (where and why), or json (everything)"},
			&cli.StringFlag{Name: "why", Usage: "explain how this reference was found"},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Len() != 1 {
				return errors.New("discover takes one directory; see kubefile-frontend discover --help")
			}
			root, err := os.OpenRoot(c.Args().First())
			if err != nil {
				return err
			}
			defer root.Close()
			result, err := discovery.Discover(ctx, root.FS(), discovery.Options{
				Commands:          c.StringSlice("cmd"),
				KubernetesVersion: c.String("kube-version"),
			})
			if err != nil {
				return err
			}
			if ref := c.String("why"); ref != "" {
				return result.Why(c.Root().Writer, ref)
			}
			if err := result.Write(c.Root().Writer, c.String("format")); err != nil {
				return err
			}
			return complain(c.Root().ErrWriter, result.Problems)
		},
	}
}

// complain prints what could not be read, and fails if that may hide an image.
func complain(w io.Writer, problems []discovery.Problem) error {
	var err error
	for _, p := range problems {
		fmt.Fprintf(w, "%s:%d: %s\n", p.File, p.Line, p.Message)
		if p.Fatal {
			err = errors.New("the list is not complete")
		}
	}
	return err
}
