package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v3"
	"golang.org/x/term"

	"github.com/kubefile/kubefile/runner"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/phase"
	"github.com/kubefile/kubefile/runner/source"
)

// siteFlags say which hosts, and how to get there.
func siteFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "masters", Aliases: []string{"m"}, Usage: "addresses of the masters: a list, ranges (192.168.0.2-192.168.0.4), or both"},
		&cli.StringFlag{Name: "nodes", Aliases: []string{"n"}, Usage: "addresses of the nodes, likewise"},
		&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Value: "root", Usage: "login on the hosts; another than root needs sudo there"},
		&cli.StringFlag{Name: "passwd", Aliases: []string{"p"}, Usage: "password of the login; - reads it from the terminal or the standard input. SEALER_PASSWD is the same"},
		&cli.StringFlag{Name: "pk", Usage: "file of the private key", DefaultText: "the keys of ~/.ssh and the SSH agent"},
		&cli.StringFlag{Name: "pk-passwd", Usage: "passphrase of the key; SEALER_PK_PASSWD is the same"},
		&cli.Uint16Flag{Name: "port", Value: 22, Usage: "SSH port"},
		&cli.StringFlag{Name: "cluster-name", Value: "default", Usage: "name of the cluster"},
		&cli.StringFlag{Name: "data-root", Value: phase.DefaultDataRoot, Usage: "directory for the cluster's files on the hosts"},
	}
}

func runFlags() []cli.Flag {
	return append(siteFlags(),
		&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "NAME=VALUE for scripts, templates and commands; may stand many times"},
		&cli.BoolFlag{Name: "dry-run", Usage: "only say what would be done"},
		outputFlag(),
		plainFlag())
}

func deleteFlags() []cli.Flag {
	return append(siteFlags(),
		&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "the whole cluster"},
		&cli.BoolFlag{Name: "yes", Aliases: []string{"y", "force"}, Usage: "do not ask"},
		&cli.BoolFlag{Name: "dry-run", Usage: "only say what would be done"},
		outputFlag())
}

func outputFlag() cli.Flag {
	return &cli.StringFlag{Name: "output", Value: "text", Usage: "text or json", Validator: func(value string) error {
		if value != "text" && value != "json" {
			return fmt.Errorf("%q is neither text nor json", value)
		}
		return nil
	}}
}

func plainFlag() cli.Flag {
	return &cli.BoolFlag{Name: "plain-http", Usage: "the registry of IMAGE has no TLS (a loopback registry needs no flag)"}
}

// site reads the flags. Without -m and -n nothing is known.
func site(cmd *cli.Command) (runner.Site, error) {
	if cmd.String("masters") == "" {
		return runner.Site{}, usage("no master: name one with -m")
	}
	auth := host.Auth{User: cmd.String("user"), Port: cmd.Uint16("port"), KeyFile: cmd.String("pk")}
	auth.KeyPassphrase = secret(cmd, "pk-passwd", "SEALER_PK_PASSWD")
	auth.Password = secret(cmd, "passwd", "SEALER_PASSWD")
	if cmd.String("passwd") == "-" {
		var err error
		if auth.Password, err = ask(cmd.Root().Reader, cmd.Root().ErrWriter); err != nil {
			return runner.Site{}, err
		}
	}
	hosts, err := host.Inventory(cmd.String("masters"), cmd.String("nodes"), auth)
	if err != nil {
		return runner.Site{}, usage("%v", err)
	}
	return runner.Site{
		Cluster:      cmd.String("cluster-name"),
		Hosts:        hosts,
		Env:          cmd.StringSlice("env"),
		DataRoot:     cmd.String("data-root"),
		FirstContact: firstContact(cmd.Root().ErrWriter),
		Progress:     cmd.Root().ErrWriter,
	}, nil
}

// secret takes a value from a flag, of which it warns, or from the environment.
func secret(cmd *cli.Command, flag, variable string) host.Secret {
	value := cmd.String(flag)
	if value == "" {
		return host.Secret(os.Getenv(variable))
	}
	if value != "-" {
		fmt.Fprintf(cmd.Root().ErrWriter, "warning: others on this machine can read --%s in the process list: use %s\n", flag, variable)
	}
	return host.Secret(value)
}

// maxPassword bounds what is read as a password, in bytes.
const maxPassword = 4096

// ask reads a password, from a terminal without echo.
func ask(in io.Reader, prompt io.Writer) (host.Secret, error) {
	if file, ok := in.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		fmt.Fprint(prompt, "password: ")
		password, err := term.ReadPassword(int(file.Fd()))
		fmt.Fprintln(prompt)
		return host.Secret(password), err
	}
	line, err := bufio.NewReader(io.LimitReader(in, maxPassword)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", errors.New("reading the password from the standard input: nothing there")
	}
	return host.Secret(line), nil
}

func firstContact(out io.Writer) func(host.Host, string, string) error {
	return func(h host.Host, keyType, fingerprint string) error {
		fmt.Fprintf(out, "  %s: first contact, its %s key is %s: pinned\n", h, keyType, fingerprint)
		return nil
	}
}

func runImage(ctx context.Context, cmd *cli.Command) error {
	image, err := oneImage(cmd)
	if err != nil {
		return err
	}
	s, err := site(cmd)
	if err != nil {
		return err
	}
	return runner.Run(ctx, image, source.Options{PlainHTTP: cmd.Bool("plain-http")}, s, options(cmd), cmd.Root().Writer)
}

func options(cmd *cli.Command) runner.Options {
	return runner.Options{DryRun: cmd.Bool("dry-run"), JSON: cmd.String("output") == "json"}
}

func oneImage(cmd *cli.Command) (string, error) {
	switch args := cmd.Args(); {
	case args.Len() == 0:
		return "", usage("no IMAGE")
	case args.Len() > 1:
		return "", usage("one IMAGE, not %d: %s", args.Len(), strings.Join(args.Slice(), " "))
	default:
		return args.First(), nil
	}
}

func deleteCluster(ctx context.Context, cmd *cli.Command) error {
	if !cmd.Bool("all") {
		return usage("delete needs --all")
	}
	s, err := site(cmd)
	if err != nil {
		return err
	}
	if !cmd.Bool("yes") && !cmd.Bool("dry-run") {
		if err := confirm(cmd, s.Cluster); err != nil {
			return err
		}
	}
	return runner.Delete(ctx, s, options(cmd), cmd.Root().Writer)
}

func confirm(cmd *cli.Command, cluster string) error {
	file, ok := cmd.Root().Reader.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return usage("delete asks before it deletes, and there is no terminal: add --yes")
	}
	fmt.Fprintf(cmd.Root().ErrWriter, "delete cluster %s and all its data? type its name: ", cluster)
	line, err := bufio.NewReader(file).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != cluster {
		return errors.New("not deleted")
	}
	return nil
}
