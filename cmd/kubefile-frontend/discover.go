package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	"github.com/urfave/cli/v3"

	"github.com/kubefile/kubefile/cmd/commandline"
	"github.com/kubefile/kubefile/frontend"
	"github.com/kubefile/kubefile/frontend/control"
	"github.com/kubefile/kubefile/frontend/discovery"
	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/inputfile"
)

func discover() *cli.Command {
	return &cli.Command{
		Name:      "discover",
		Usage:     "print the images that a directory needs, offline and without BuildKit",
		ArgsUsage: "DIR",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "cmd", Usage: "a `COMMAND` that is run on the cluster, as CMD says it: \"helm install …\"; may be given several times"},
			&cli.StringFlag{Name: "kubefile", Usage: "take the commands from this Kubefile `FILE`; those of --cmd come after them"},
			&cli.StringFlag{Name: "kube-version", Usage: "the Kubernetes `VERSION` that charts are rendered for, such as v1.34.4"},
			&cli.StringSliceFlag{Name: "values", Usage: "a values file for all charts, or CHART=`FILE` for the chart of that path in DIR, in addition to the values that commands give; may be given several times, the last one wins"},
			&cli.StringSliceFlag{Name: "ignore", Usage: "a file or directory of DIR that is not searched; `PATTERN`s may have * and ?; may be given several times"},
			&cli.StringFlag{Name: "format", Value: "lines", Validator: checkFormat, Usage: "lines (certain and strong references), table (where and why), or json (everything)"},
			&cli.StringFlag{Name: "why", Usage: "explain every place that `REFERENCE` was found in, and what led there"},
		},
		Action: discoverImages,
	}
}

// discoverImages prints what a directory needs.
func discoverImages(ctx context.Context, c *cli.Command) error {
	if err := checkWhy(c); err != nil {
		return err
	}
	root, err := os.OpenRoot(c.Args().First())
	if err != nil {
		return err
	}
	defer root.Close()
	opts, err := discoverOptions(ctx, c, root.FS())
	if err != nil {
		return err
	}
	said, err := controlFile(root)
	if err != nil {
		return err
	}
	opts.Ignore = append(opts.Ignore, control.FileName)
	for chart, sets := range said.Values() {
		opts.Values[chart] = append(opts.Values[chart], sets...)
	}
	result, err := discovery.Discover(ctx, root.FS(), opts)
	var wrong *discovery.OptionError
	if errors.As(err, &wrong) {
		return commandline.Usagef("%v", wrong)
	}
	if err != nil {
		return err
	}
	result.Findings, _ = said.Apply(result.Findings, platforms.DefaultSpec())
	if ref := c.String("why"); ref != "" {
		return result.Why(c.Root().Writer, ref)
	}
	if err := result.Write(c.Root().Writer, c.String("format")); err != nil {
		return err
	}
	return complain(c.Root().ErrWriter, result.Problems)
}

func checkFormat(format string) error {
	if !slices.Contains([]string{"lines", "table", "json"}, format) {
		return fmt.Errorf("%q is not one of lines, table and json", format)
	}
	return nil
}

// checkWhy refuses a reference that no image can have, and a format for what has only one.
func checkWhy(c *cli.Command) error {
	if !c.IsSet("why") {
		return nil
	}
	if c.IsSet("format") {
		return commandline.Usagef("--why and --format are mutually exclusive")
	}
	if _, err := imagespec.ParseReference(c.String("why")); err != nil {
		return commandline.Usagef("flag --why: %v", err)
	}
	return nil
}

// controlFile reads the control file of the directory, if it has one.
func controlFile(root *os.Root) (*control.File, error) {
	info, err := root.Stat(control.FileName)
	if errors.Is(err, fs.ErrNotExist) {
		return &control.File{}, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait
		return nil, fmt.Errorf("%s is %w", control.FileName, inputfile.ErrNotRegular)
	}
	file, err := root.Open(control.FileName)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, control.MaxSize+1))
	if err != nil {
		return nil, err
	}
	return control.Parse(data)
}

// maxInput bounds a Kubefile or a values file, in bytes.
const maxInput = 16 << 20

// readInput reads a file that a flag names.
func readInput(ctx context.Context, flag, name string) ([]byte, error) {
	data, err := commandline.Wait(ctx, func() ([]byte, error) {
		file, err := inputfile.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		data, err := io.ReadAll(io.LimitReader(file, maxInput+1))
		if err == nil && len(data) > maxInput {
			return nil, fmt.Errorf("%s is larger than %d bytes", name, maxInput)
		}
		return data, err
	})
	return data, commandline.FileError(flag, err)
}

func discoverOptions(ctx context.Context, c *cli.Command, dir fs.FS) (discovery.Options, error) {
	opts := discovery.Options{KubernetesVersion: c.String("kube-version"), Ignore: c.StringSlice("ignore")}
	if name := c.String("kubefile"); name != "" {
		data, err := readInput(ctx, "kubefile", name)
		if err != nil {
			return opts, err
		}
		if opts.Commands, err = frontend.Commands(data, dir); err != nil {
			return opts, fmt.Errorf("%s: %w", name, err)
		}
	}
	opts.Commands = append(opts.Commands, c.StringSlice("cmd")...)
	given := map[string]*discovery.ValueSet{}
	for _, value := range c.StringSlice("values") {
		chart, name, ok := strings.Cut(value, "=")
		if !ok {
			chart, name = discovery.EveryChart, value
		}
		if name == "" || ok && chart == "" {
			return opts, commandline.Usagef("flag --values: write a file, or CHART=FILE")
		}
		data, err := readInput(ctx, "values", name)
		if err != nil {
			return opts, err
		}
		if given[chart] == nil {
			given[chart] = &discovery.ValueSet{}
		}
		if err := given[chart].Lay(data); err != nil {
			return opts, fmt.Errorf("values file %s: %w", name, err)
		}
	}
	opts.Values = map[string][]discovery.ValueSet{}
	for chart, set := range given {
		opts.Values[chart] = []discovery.ValueSet{*set}
	}
	return opts, nil
}

// complain prints what could not be read, and fails if that may hide an image.
func complain(w io.Writer, problems []discovery.Problem) error {
	var err error
	for _, p := range problems {
		place := p.File
		if p.Line > 0 {
			place = fmt.Sprintf("%s:%d", p.File, p.Line)
		}
		fmt.Fprintf(w, "%s: %s\n", place, p.Message)
		if p.Fatal {
			err = errors.New("the image list is incomplete: fix the problems above, or exclude the file with --ignore")
		}
	}
	return err
}
