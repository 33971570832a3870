package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"github.com/kubefile/kubefile/cmd/commandline"
	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/status"
)

func statusFlags() []cli.Flag {
	return append(siteFlags(), commandline.OutputFlag(),
		&cli.BoolFlag{Name: "served", Usage: "only the images that the embedded registry served, one a line"},
		&cli.BoolFlag{Name: "missed", Usage: "only the images that were asked for and are not in the artifact, one a line"})
}

func showStatus(ctx context.Context, cmd *cli.Command) error {
	if err := alone(cmd, "served", "missed", "output"); err != nil {
		return err
	}
	s, err := site(ctx, cmd)
	if err != nil {
		return err
	}
	found, err := runner.Status(ctx, s)
	if err != nil {
		return err
	}
	out := cmd.Root().Writer
	switch {
	case cmd.Bool("served"):
		return printLines(out, found.Served)
	case cmd.Bool("missed"):
		return printLines(out, found.Missed)
	case cmd.String("output") == "json":
		return commandline.WriteJSON(out, found)
	}
	fmt.Fprintf(out, "%s\nserved by the embedded registry:\n", commandline.Printable(found.Table))
	if err := printLines(out, found.Served); err != nil {
		return err
	}
	if len(found.Missed) == 0 {
		return nil
	}
	fmt.Fprintln(out, "\nasked for, but not in the artifact (add them to its imageList):")
	return printLines(out, found.Missed)
}

func kubeconfig(ctx context.Context, cmd *cli.Command) error {
	s, err := site(ctx, cmd)
	if err != nil {
		return err
	}
	return runner.Kubeconfig(ctx, s, cmd.Root().Writer)
}

func inspectFlags() []cli.Flag { return []cli.Flag{commandline.OutputFlag(), plainFlag()} }

func imagesFlags() []cli.Flag {
	return append(append(inspectFlags(), siteFlags()...),
		&cli.StringFlag{Name: "why", Usage: "what led to this `IMAGE`"},
		&cli.BoolFlag{Name: "from-cluster", Usage: "what the pods of the running cluster use, against the image; needs -m"})
}

// alone refuses flags of which each decides what is shown.
func alone(cmd *cli.Command, names ...string) error {
	set := slices.DeleteFunc(names, func(name string) bool { return !cmd.IsSet(name) })
	if len(set) > 1 {
		return commandline.Usagef("--%s and --%s are mutually exclusive", set[0], set[1])
	}
	return nil
}

func open(ctx context.Context, cmd *cli.Command) (*source.Artifact, error) {
	return source.Open(ctx, cmd.Args().First(), source.Options{PlainHTTP: cmd.Bool("plain-http")})
}

// summaryVersion changes when a field of the summary changes its meaning or is removed.
const summaryVersion = 1

// summary is what inspect shows.
type summary struct {
	Version           int      `json:"version"`
	Name              string   `json:"name"`
	Source            string   `json:"source"`
	Digest            string   `json:"digest"`
	Platform          string   `json:"platform"`
	Kind              string   `json:"kind"`
	KubernetesVersion string   `json:"kubernetesVersion,omitempty"`
	Frontend          string   `json:"frontend,omitempty"`
	Commands          []string `json:"commands"`
	Env               []string `json:"env"`
	Images            int      `json:"images"`
	RootfsLayers      int      `json:"rootfsLayers"`
	RootfsBytes       int64    `json:"rootfsBytes"`
	ImageLayers       int      `json:"imageLayers"`
	ImageBytes        int64    `json:"imageBytes"`
}

func inspect(ctx context.Context, cmd *cli.Command) error {
	artifact, err := open(ctx, cmd)
	if err != nil {
		return err
	}
	defer artifact.Close()
	d := artifact.Description
	s := summary{
		Version: summaryVersion, Name: artifact.Name, Source: string(artifact.Kind), Digest: artifact.Digest.String(),
		Platform: d.Platform.OS + "/" + d.Platform.Architecture, Kind: d.Kind, KubernetesVersion: d.KubernetesVersion, Frontend: d.Frontend,
		Commands: []string{}, Env: d.Env, Images: len(d.Lock.Images),
		RootfsLayers: len(artifact.RootfsLayers), RootfsBytes: total(artifact.RootfsLayers),
		ImageLayers: len(artifact.ImageLayers), ImageBytes: total(artifact.ImageLayers),
	}
	if s.Env == nil {
		s.Env = []string{}
	}
	for _, command := range d.Commands {
		s.Commands = append(s.Commands, command.String())
	}
	if cmd.String("output") == "json" {
		return commandline.WriteJSON(cmd.Root().Writer, s)
	}
	return s.print(cmd.Root().Writer)
}

func (s summary) print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "name\t%s (%s)\ndigest\t%s\nplatform\t%s\nkind\t%s\n", s.Name, s.Source, s.Digest, s.Platform, s.Kind)
	if s.KubernetesVersion != "" {
		fmt.Fprintf(table, "kubernetes\t%s\n", s.KubernetesVersion)
	}
	if s.Frontend != "" {
		fmt.Fprintf(table, "frontend\t%s\n", s.Frontend)
	}
	fmt.Fprintf(table, "rootfs\t%d layers, %s: for every host\n", s.RootfsLayers, report.Bytes(s.RootfsBytes))
	fmt.Fprintf(table, "images\t%d in %d layers, %s: for the masters\n", s.Images, s.ImageLayers, report.Bytes(s.ImageBytes))
	for _, variable := range s.Env {
		fmt.Fprintf(table, "env\t%s\n", variable)
	}
	for _, command := range s.Commands {
		fmt.Fprintf(table, "command\t%s\n", command)
	}
	return table.Flush()
}

func total(layers []imagespec.Layer) (bytes int64) {
	for _, layer := range layers {
		bytes += layer.Descriptor.Size
	}
	return bytes
}

func images(ctx context.Context, cmd *cli.Command) error {
	if err := errors.Join(alone(cmd, "why", "output"), alone(cmd, "why", "from-cluster")); err != nil {
		return err
	}
	if !cmd.Bool("from-cluster") {
		for _, flag := range siteFlags() {
			if name := flag.Names()[0]; cmd.IsSet(name) {
				return commandline.Usagef("--%s is for --from-cluster only", name)
			}
		}
	}
	artifact, err := open(ctx, cmd)
	if err != nil {
		return err
	}
	defer artifact.Close()
	lock, out := artifact.Description.Lock, cmd.Root().Writer
	if written := cmd.String("why"); written != "" {
		return why(out, lock, written)
	}
	if cmd.Bool("from-cluster") {
		return fromCluster(ctx, cmd, lock)
	}
	if cmd.String("output") == "json" {
		return commandline.WriteJSON(out, lock)
	}
	for _, image := range lock.Images {
		if _, err := fmt.Fprintln(out, image.Reference); err != nil {
			return err
		}
	}
	return nil
}

// clusterImages is what images --from-cluster shows as JSON.
type clusterImages struct {
	Version int          `json:"version"`
	Used    []status.Use `json:"used"`
	Unused  []string     `json:"unused"`
}

// clusterImagesVersion changes when what reads the document has to change.
const clusterImagesVersion = 1

// fromCluster shows what a running cluster uses of a lock.
func fromCluster(ctx context.Context, cmd *cli.Command, lock *imagespec.Lock) error {
	s, err := site(ctx, cmd)
	if err != nil {
		return err
	}
	used, unused, err := runner.Used(ctx, s, lock)
	if err != nil {
		return err
	}
	out := cmd.Root().Writer
	if cmd.String("output") == "json" {
		return commandline.WriteJSON(out, clusterImages{clusterImagesVersion, used, unused})
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "IMAGE\tPODS\tIN THE ARTIFACT")
	for _, u := range used {
		embedded := "no"
		if u.Embedded {
			embedded = "yes"
		}
		fmt.Fprintf(table, "%s\t%d\t%s\n", commandline.Printable(u.Reference), u.Pods, embedded)
	}
	for _, reference := range unused {
		fmt.Fprintf(table, "%s\t0\tyes\n", reference)
	}
	return table.Flush()
}

func why(out io.Writer, lock *imagespec.Lock, written string) error {
	ref, err := imagespec.ParseReference(written)
	if err != nil {
		return commandline.Usagef("%v", err)
	}
	image, ok := lock.Lookup(ref.String())
	if !ok {
		return fmt.Errorf("%s is not in the artifact", ref)
	}
	fmt.Fprintf(out, "%s %s\n", image.Reference, image.Digest)
	for _, f := range image.Found {
		fmt.Fprintf(out, "  %s:%d %s %s\n", f.File, f.Line, f.Class, f.Rule)
		for _, link := range f.Chain {
			fmt.Fprintf(out, "    through %s\n", link)
		}
	}
	return nil
}

func printLines(out io.Writer, lines []string) error {
	for _, line := range lines {
		if _, err := fmt.Fprintln(out, commandline.Printable(line)); err != nil {
			return err
		}
	}
	return nil
}
