package main

import (
	"context"

	"github.com/urfave/cli/v3"

	"github.com/kubefile/kubefile/cmd/commandline"
	"github.com/kubefile/kubefile/runner"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/source"
)

const joinDescription = `Adds masters and nodes to a cluster. They get what the other hosts have: the image and the
applications that the state of the cluster names, and its configuration of kubeadm. On the other
hosts, only lists of hosts change, and the cluster's DNS is restarted if one node runs all of it.

-m and -n name the hosts that join. The cluster is found by --via or by a Clusterfile; the login
is the same for all. Environment variables, Configs, plugins and registry settings are not in the
state: if the cluster was made with any, join refuses to run without the Clusterfile.

The image is opened by its name in the state. If it is not found there, name it; it has to be the
same image, whatever its name is. The same holds for application images.

   sealer-run join -n 192.168.0.11 --via 192.168.0.2
   sealer-run join ./kubernetes.tar -n 192.168.0.11-192.168.0.14 --via 192.168.0.2
   sealer-run join ./kubernetes.tar ./redis.tar -m 192.168.0.3,192.168.0.4 -f Clusterfile
   sealer-run join -n 192.168.0.11 --via 192.168.0.2 --dry-run`

func joinFlags() []cli.Flag {
	return append(siteFlags(),
		&cli.StringFlag{Name: "via", Usage: "`ADDRESS` of a master of the cluster"},
		envFlag(),
		&cli.BoolFlag{Name: "dry-run", Usage: "only say what would be done"},
		timeoutFlag(),
		commandline.OutputFlag(),
		plainFlag())
}

// joinHosts adds hosts to a cluster.
func joinHosts(ctx context.Context, cmd *cli.Command) error {
	joining, err := joiningHosts(cmd)
	if err != nil {
		return err
	}
	s, err := siteOfLogins(ctx, cmd, cmd.String("via"))
	if err != nil {
		return err
	}
	from := source.Options{PlainHTTP: cmd.Bool("plain-http")}
	_, err = runner.Join(ctx, cmd.Args().Slice(), from, s, joining, options(cmd), cmd.Root().Writer)
	return err
}

// joiningHosts are those that the flags name.
func joiningHosts(cmd *cli.Command) (execute.Joining, error) {
	joining := execute.Joining{ByFile: cmd.IsSet("Clusterfile")}
	var err error
	if joining.Masters, joining.Nodes, err = namedHosts(cmd); err != nil {
		return joining, err
	}
	switch {
	case len(joining.Addresses()) == 0:
		return joining, commandline.Usagef("join needs the hosts that join: -n 192.168.0.11 for nodes, -m 192.168.0.3 for masters")
	case !joining.ByFile && !cmd.IsSet("via"):
		return joining, commandline.Usagef("join needs a master of the cluster: --via ADDRESS, or a Clusterfile with -f")
	}
	return joining, checkVia(cmd, joining.Addresses(), "joins; give --via the address of a master that is in the cluster already")
}
