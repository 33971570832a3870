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
	"time"

	"github.com/urfave/cli/v3"

	"github.com/kubefile/kubefile/cmd/commandline"
	format "github.com/kubefile/kubefile/imagespec/clusterfile"
	"github.com/kubefile/kubefile/runner"
	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/command"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/inputfile"
	"github.com/kubefile/kubefile/runner/leave"
	"github.com/kubefile/kubefile/runner/source"
)

// siteFlags say which hosts, and how to get there.
func siteFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringSliceFlag{Name: "masters", Aliases: []string{"m"}, Usage: "addresses of the masters: a list, ranges (192.168.0.2-192.168.0.4), or both; repeatable"},
		&cli.StringSliceFlag{Name: "nodes", Aliases: []string{"n"}, Usage: "addresses of the nodes, likewise; repeatable"},
		&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Value: "root", Usage: "login on the hosts; another than root needs sudo there"},
		&cli.StringFlag{Name: "pk", Usage: "file of the private key", DefaultText: "the keys of ~/.ssh and the SSH agent"},
		&cli.StringFlag{Name: "port", Value: "22", Usage: "SSH port", Validator: func(value string) error { _, err := format.Port(value).Number(); return err }},
		&cli.StringFlag{Name: "cluster-name", Value: execute.DefaultName, Usage: "name of the cluster"},
		&cli.StringFlag{Name: "data-root", Value: execute.DefaultDataRoot, Usage: "directory for the cluster's files on the hosts"},
		fileFlag(),
	}, secretFlags()...)
}

// secretFlags are for logins that name no password of their own.
func secretFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "passwd", Aliases: []string{"p"}, Usage: "password of the login; - reads it from the terminal or the standard input. SEALER_PASSWD is the same"},
		&cli.StringFlag{Name: "pk-passwd", Usage: "passphrase of the key; SEALER_PK_PASSWD is the same"},
	}
}

func fileFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "Clusterfile", Aliases: []string{"f"},
		Usage: "Clusterfile in place of the flags: a file, a directory of files, or - for the standard input; repeatable"}
}

// commandFlags choose among the commands of an image.
func commandFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "cmd", Usage: "run this `COMMAND` in place of the (first) image's own; repeatable"},
		&cli.StringSliceFlag{Name: "cmd-args", Usage: "`NAME=VALUE` for the commands only; repeatable", Validator: checkVariables},
		&cli.StringSliceFlag{Name: "app", Usage: "of the image's applications start this `NAME` only; repeatable"},
	}
}

func runFlags() []cli.Flag {
	return append(append(siteFlags(), commandFlags()...),
		envFlag(),
		&cli.BoolFlag{Name: "dry-run", Usage: "only say what would be done"},
		timeoutFlag(),
		commandline.OutputFlag(),
		plainFlag())
}

// applyFlags are those of commands that take a Clusterfile for all that the cluster is.
func applyFlags() []cli.Flag {
	return append(append(runFlags(), drainFlags()...),
		&cli.BoolFlag{Name: "prune", Usage: "then remove the hosts from the cluster that the Clusterfile does not list, as delete -m and -n do"})
}

func timeoutFlag() cli.Flag {
	return &cli.DurationFlag{Name: "cmd-timeout", Value: command.DefaultLimit, Sources: cli.EnvVars("SEALER_CMD_TIMEOUT"),
		Usage: "how long one command of an image, or one script of a plugin, may run on a host, such as 90m",
		Validator: func(limit time.Duration) error {
			if limit <= 0 {
				return fmt.Errorf("%s is too short: a command needs a positive time", limit)
			}
			return nil
		}}
}

func envFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Validator: checkVariables,
		Usage: "NAME=VALUE for scripts, templates, plugins and commands; repeatable"}
}

func checkVariables(pairs []string) error {
	_, err := environment.Parse(pairs)
	return err
}

func plainFlag() cli.Flag {
	return &cli.BoolFlag{Name: "plain-http", Usage: "pull IMAGE over plain HTTP (implied for loopback registries)"}
}

// flagsOfFile are the fields of a Clusterfile that replace flags, where these do not name hosts for another reason.
func flagsOfFile() [][2]string {
	return [][2]string{
		{"user", "spec.ssh.user"}, {"pk", "spec.ssh.pk"}, {"port", "spec.ssh.port"}, {"cluster-name", "metadata.name"}, {"data-root", "spec.dataRoot"},
	}
}

// site reads the Clusterfile, or makes one of the flags.
func site(ctx context.Context, cmd *cli.Command) (runner.Site, error) {
	if err := checkInput(cmd); err != nil {
		return runner.Site{}, err
	}
	file, err := readSite(ctx, cmd)
	if err != nil {
		return runner.Site{}, err
	}
	return siteOf(ctx, cmd, file)
}

// siteOf is the site of a Clusterfile.
func siteOf(ctx context.Context, cmd *cli.Command, file *clusterfile.Clusterfile) (runner.Site, error) {
	if err := checkKey(cmd); err != nil {
		return runner.Site{}, err
	}
	secrets, err := secrets(ctx, cmd)
	if err != nil {
		return runner.Site{}, err
	}
	return runner.Site{
		Clusterfile:  file,
		Env:          cmd.StringSlice("env"),
		Secrets:      secrets,
		FirstContact: firstContact(cmd.Root().ErrWriter),
		Progress:     cmd.Root().ErrWriter,
		CommandLimit: cmd.Duration("cmd-timeout"),
	}, nil
}

// checkInput refuses to read two things from the one standard input.
func checkInput(cmd *cli.Command) error {
	readers := 0
	for _, name := range cmd.StringSlice("Clusterfile") {
		if inputfile.IsStdin(name) {
			readers++
		}
	}
	if readers > 1 {
		return commandline.Usagef("-f - can be given only once")
	}
	if readers > 0 && cmd.String("passwd") == "-" {
		return commandline.Usagef("-f - and -p -: the standard input is the Clusterfile: use SEALER_PASSWD, or write passwd: env:NAME or file:PATH into it")
	}
	return nil
}

// checkKey refuses a file of a key that does not exist, before every host says so.
func checkKey(cmd *cli.Command) error {
	name := cmd.String("pk")
	if name == "" {
		return nil
	}
	_, err := os.Stat(clusterfile.ExpandHome(name))
	if errors.Is(err, fs.ErrNotExist) {
		return commandline.FileError("pk", err)
	}
	return nil // what else is wrong with it is said with the host
}

func readSite(ctx context.Context, cmd *cli.Command) (*clusterfile.Clusterfile, error) {
	files := cmd.StringSlice("Clusterfile")
	if len(files) == 0 {
		document, err := document(cmd)
		if err != nil {
			return nil, err
		}
		file, err := clusterfile.FromDocument(document)
		if err != nil {
			return nil, commandline.Usagef("%v", err)
		}
		return file, nil
	}
	for _, name := range []string{"masters", "nodes"} {
		if cmd.IsSet(name) {
			return nil, commandline.Usagef("--%s and a Clusterfile: write it into the Clusterfile (spec.hosts)", name)
		}
	}
	return readFiles(ctx, cmd)
}

// readFiles reads the Clusterfile.
func readFiles(ctx context.Context, cmd *cli.Command) (*clusterfile.Clusterfile, error) {
	files := cmd.StringSlice("Clusterfile")
	for _, flag := range flagsOfFile() {
		if cmd.IsSet(flag[0]) {
			return nil, commandline.Usagef("--%s and a Clusterfile: write it into the Clusterfile (%s)", flag[0], flag[1])
		}
	}
	file, err := commandline.Wait(ctx, func() (*clusterfile.Clusterfile, error) { return clusterfile.Read(cmd.Root().Reader, files...) })
	if err != nil {
		return nil, commandline.FileError("Clusterfile", err)
	}
	if file.Cluster == nil {
		return nil, fmt.Errorf("%s: no document of kind Cluster, which says what runs where", strings.Join(files, ", "))
	}
	return file, file.Override(cmd.StringSlice("cmd"), cmd.StringSlice("cmd-args"), cmd.StringSlice("app"))
}

// document is what the flags say, as a Clusterfile has it.
func document(cmd *cli.Command) (*format.ClusterDocument, error) {
	masters, nodes := strings.Join(cmd.StringSlice("masters"), ","), strings.Join(cmd.StringSlice("nodes"), ",")
	if masters == "" {
		return nil, commandline.Usagef("no master: name one with -m, or give a Clusterfile with -f")
	}
	if _, err := host.Inventory(masters, nodes, host.Auth{}); err != nil {
		return nil, commandline.Usagef("%v", err)
	}
	return documentOf(cmd, masters, nodes), nil
}

// documentOf is the document for hosts that have been checked.
func documentOf(cmd *cli.Command, masters, nodes string) *format.ClusterDocument {
	d := clusterfile.NewDocument(cmd.String("cluster-name"), cmd.Args().First(), masters, nodes)
	if user := cmd.String("user"); user != "root" {
		d.Spec.SSH.User = user
	}
	if port := cmd.String("port"); port != "22" {
		d.Spec.SSH.Port = format.Port(port)
	}
	if root := cmd.String("data-root"); root != execute.DefaultDataRoot {
		d.Spec.DataRoot = root
	}
	d.Spec.SSH.PK = cmd.String("pk")
	d.Spec.Cmd, d.Spec.CmdArgs, d.Spec.AppNames = cmd.StringSlice("cmd"), cmd.StringSlice("cmd-args"), cmd.StringSlice("app")
	return d
}

// secrets are the passwords for logins that name none, and how to ask for one.
func secrets(ctx context.Context, cmd *cli.Command) (*clusterfile.Secrets, error) {
	s := &clusterfile.Secrets{
		Ask: func(what string) (host.Secret, error) {
			if slices.ContainsFunc(cmd.StringSlice("Clusterfile"), inputfile.IsStdin) {
				return "", fmt.Errorf("%s: prompt: the standard input is the Clusterfile: write env:NAME or file:PATH in it", what)
			}
			return ask(ctx, cmd.Root().Reader, cmd.Root().ErrWriter, what)
		},
	}
	var err error
	if s.Password, err = secret(cmd, "passwd", "SEALER_PASSWD"); err != nil {
		return nil, err
	}
	if s.Passphrase, err = secret(cmd, "pk-passwd", "SEALER_PK_PASSWD"); err != nil {
		return nil, err
	}
	if cmd.String("passwd") == "-" {
		if s.Password, err = s.Ask("password"); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// secret takes a value from a flag, of which it warns, or from the environment.
func secret(cmd *cli.Command, flag, variable string) (host.Secret, error) {
	value := cmd.String(flag)
	if value == "" {
		value, err := commandline.Variable(variable)
		return host.Secret(value), err
	}
	if value != "-" {
		fmt.Fprintf(cmd.Root().ErrWriter, "warning: others on this machine can read --%s in the process list: use %s\n", flag, variable)
	}
	return host.Secret(value), nil
}

// ask reads a password, from a terminal without echo.
func ask(ctx context.Context, in io.Reader, out io.Writer, what string) (host.Secret, error) {
	read := func() (string, error) { return commandline.Ask(ctx, in, out, "") }
	if terminal, ok := commandline.Terminal(in); ok {
		read = func() (string, error) { return commandline.AskSecret(ctx, terminal, out, what+": ") }
	}
	secret, err := read()
	if err == nil && secret == "" {
		err = errors.New("nothing was entered")
	}
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", what, err)
	}
	return host.Secret(secret), nil
}

func firstContact(out io.Writer) func(host.Host, string, string) error {
	return func(h host.Host, keyType, fingerprint string) error {
		fmt.Fprintf(out, "  %s: first contact, its %s key is %s: pinned\n", h, keyType, fingerprint)
		return nil
	}
}

// runImage brings up the images that are named, or that of the Clusterfile.
func runImage(ctx context.Context, cmd *cli.Command) error {
	_, err := perform(ctx, cmd, options(cmd))
	return err
}

const applyDescription = `Brings up the cluster that a Clusterfile describes, or changes it to that. Hosts of the cluster
that the Clusterfile does not list stay in it. With --prune they are removed last, as delete -m
and -n do. plan with the same flags prints every change.

   sealer-run apply -f Clusterfile
   sealer-run apply -f Clusterfile ./redis.tar
   sealer-run apply -f Clusterfile --prune --drain-timeout 15m`

const planDescription = `Logs in to all hosts, prints every change that run or apply would make, and makes none.
The exit status is 0 when there is nothing to do, 2 when there is (and when the call is
wrong), and 1 when a run would fail.

   sealer-run plan ./kubernetes.tar -m 192.168.0.2 -n 192.168.0.10
   sealer-run plan -f Clusterfile --prune
   sealer-run plan -f Clusterfile -o json | jq '.actions[].what'`

// plan says what a run would do. Its exit status says whether that is anything.
func plan(ctx context.Context, cmd *cli.Command) error {
	opts := options(cmd)
	opts.DryRun = true
	changes, err := perform(ctx, cmd, opts)
	if err == nil && changes > 0 {
		return commandline.ErrPending
	}
	return err
}

func perform(ctx context.Context, cmd *cli.Command, opts runner.Options) (changes int, err error) {
	if opts.Prune, err = prune(cmd); err != nil {
		return 0, err
	}
	images, s, err := imagesAndSite(ctx, cmd)
	if err != nil {
		return 0, err
	}
	return runner.Run(ctx, images, source.Options{PlainHTTP: cmd.Bool("plain-http")}, s, opts, cmd.Root().Writer)
}

// prune is how hosts leave that the Clusterfile does not list; nil when they stay.
func prune(cmd *cli.Command) (*leave.Hosts, error) {
	if !cmd.Bool("prune") {
		for _, name := range []string{"skip-drain", "drain-timeout"} {
			if cmd.IsSet(name) {
				return nil, commandline.Usagef("--%s is for hosts that leave; add --prune", name)
			}
		}
		return nil, nil
	}
	if len(cmd.StringSlice("Clusterfile")) == 0 {
		return nil, commandline.Usagef("--prune removes hosts that a Clusterfile does not list; give it with -f, or name the hosts that leave with delete")
	}
	if err := checkDrain(cmd); err != nil {
		return nil, err
	}
	return &leave.Hosts{SkipDrain: cmd.Bool("skip-drain"), DrainTimeout: cmd.Duration("drain-timeout")}, nil
}

// imagesAndSite are the images that are named, with that of the Clusterfile first, and the site that they are for.
func imagesAndSite(ctx context.Context, cmd *cli.Command) ([]string, runner.Site, error) {
	if cmd.Args().Len() == 0 && len(cmd.StringSlice("Clusterfile")) == 0 {
		return nil, runner.Site{}, commandline.Usagef("no IMAGE, and no Clusterfile that names one")
	}
	s, err := site(ctx, cmd)
	if err != nil {
		return nil, runner.Site{}, err
	}
	images := cmd.Args().Slice()
	if named := s.Clusterfile.Cluster.Image; len(cmd.StringSlice("Clusterfile")) > 0 && named != "" {
		images = append([]string{named}, images...)
	}
	if len(images) == 0 {
		return nil, runner.Site{}, commandline.Usagef("no IMAGE: write it into the Clusterfile (spec.image), or name it")
	}
	return images, s, nil
}

// apply is a run by a Clusterfile.
func apply(ctx context.Context, cmd *cli.Command) error {
	if len(cmd.StringSlice("Clusterfile")) == 0 {
		return commandline.Usagef("apply needs a Clusterfile: -f Clusterfile")
	}
	return runImage(ctx, cmd)
}

func options(cmd *cli.Command) runner.Options {
	return runner.Options{DryRun: cmd.Bool("dry-run"), JSON: cmd.String("output") == "json"}
}
