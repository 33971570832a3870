package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/kubefile/kubefile/cmd/commandline"
	"github.com/kubefile/kubefile/runner"
	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/leave"
)

const deleteDescription = `With --all, the cluster is removed from all of its hosts: those that -m, -n or a Clusterfile
name, and those in its state.

Without --all, -m and -n name the masters and nodes that leave. Their pods move to other
nodes, their nodes and members of etcd are removed, and the hosts are left as they were
before. The masters that stay are found by the hosts that leave, by --via or by a Clusterfile.
With --lost, nothing is done on the hosts: they are gone for good.

   sealer-run delete -n 192.168.0.10
   sealer-run delete -m 192.168.0.4 --dry-run
   sealer-run delete --lost -n 192.168.0.10 --via 192.168.0.2
   sealer-run delete -f Clusterfile -n 192.168.0.10-192.168.0.12
   sealer-run delete --all -m 192.168.0.2`

func deleteFlags() []cli.Flag {
	return append(append(siteFlags(), drainFlags()...),
		&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "the whole cluster"},
		&cli.BoolFlag{Name: "lost", Usage: "the hosts are gone for good: remove them from the cluster only"},
		&cli.StringFlag{Name: "via", Usage: "`ADDRESS` of a master that stays"},
		&cli.BoolFlag{Name: "yes", Aliases: []string{"y", "force"}, Usage: "do not ask"},
		&cli.BoolFlag{Name: "skip-plugins", Usage: "run no plugins: for a cluster that is too broken for them"},
		&cli.BoolFlag{Name: "dry-run", Usage: "only say what would be done"},
		timeoutFlag(),
		commandline.OutputFlag())
}

// drainFlags specify how the pods of hosts that leave move.
func drainFlags() []cli.Flag {
	return []cli.Flag{
		&cli.DurationFlag{Name: "drain-timeout", Value: leave.DefaultDrainTimeout, Sources: cli.EnvVars("SEALER_DRAIN_TIMEOUT"),
			Usage: "how long the pods of each host that leaves may take to move, such as 15m", Validator: positive},
		&cli.BoolFlag{Name: "skip-drain", Usage: "do not wait for pods to move: they end with their host"},
	}
}

func positive(limit time.Duration) error {
	if limit <= 0 {
		return fmt.Errorf("%s is too short: write a positive time", limit)
	}
	return nil
}

// deleteHosts removes the whole cluster, or hosts from it.
func deleteHosts(ctx context.Context, cmd *cli.Command) error {
	if err := checkDelete(cmd); err != nil {
		return err
	}
	if !cmd.Bool("all") {
		return leaveCluster(ctx, cmd)
	}
	s, err := site(ctx, cmd)
	if err != nil {
		return err
	}
	name := s.Clusterfile.Cluster.Name
	if err := confirm(ctx, cmd, fmt.Sprintf("delete cluster %s and all its data?", name), name); err != nil {
		return err
	}
	opts := options(cmd)
	opts.SkipPlugins = cmd.Bool("skip-plugins")
	return runner.Delete(ctx, s, opts, cmd.Root().Writer)
}

// checkDelete refuses flags that do not go together.
func checkDelete(cmd *cli.Command) error {
	named := cmd.IsSet("masters") || cmd.IsSet("nodes")
	switch {
	case !cmd.Bool("all") && !named:
		return commandline.Usagef("delete needs the hosts that leave (-n 192.168.0.10 for nodes, -m 192.168.0.4 for masters), or --all for the whole cluster")
	case cmd.Bool("lost") && !cmd.IsSet("Clusterfile") && !cmd.IsSet("via") && !cmd.Bool("all"):
		return commandline.Usagef("--lost does not ask the hosts that leave; name a master that stays: --via ADDRESS, or a Clusterfile with -f")
	}
	if err := checkDrain(cmd); err != nil {
		return err
	}
	for _, name := range []string{"lost", "via", "skip-drain", "drain-timeout"} {
		switch drains := strings.Contains(name, "drain"); {
		case cmd.Bool("all") && cmd.IsSet(name):
			return commandline.Usagef("--all and --%s: --%[1]s is for single hosts; name them with -m or -n and leave out --all", name)
		case cmd.Bool("lost") && drains && cmd.IsSet(name):
			return commandline.Usagef("--lost and --%s: a lost host is not drained; leave out --%[1]s", name)
		}
	}
	return nil
}

// checkDrain refuses flags for drains that contradict each other.
func checkDrain(cmd *cli.Command) error {
	if cmd.Bool("skip-drain") && cmd.IsSet("drain-timeout") {
		return commandline.Usagef("--skip-drain and --drain-timeout are mutually exclusive")
	}
	return nil
}

// leaveCluster takes single hosts out of a cluster.
func leaveCluster(ctx context.Context, cmd *cli.Command) error {
	leaving, err := leavingHosts(cmd)
	if err != nil {
		return err
	}
	hosts := slices.Concat([]string{cmd.String("via")}, cmd.StringSlice("masters"), cmd.StringSlice("nodes"))
	s, err := siteOfLogins(ctx, cmd, hosts...)
	if err != nil {
		return err
	}
	name := s.Clusterfile.Cluster.Name
	question := fmt.Sprintf("remove %s, and all data on them, from cluster %s?", addressList(leaving), name)
	if leaving.Lost {
		question = fmt.Sprintf("remove %s as lost for good from cluster %s?", addressList(leaving), name)
	}
	if err := confirm(ctx, cmd, question, name); err != nil {
		return err
	}
	opts := options(cmd)
	opts.SkipPlugins = cmd.Bool("skip-plugins")
	return runner.Leave(ctx, s, leaving, opts, cmd.Root().Writer)
}

// addressList is the hosts that leave, for a person.
func addressList(leaving leave.Hosts) string {
	var names []string
	for _, address := range leaving.Addresses() {
		names = append(names, address.String())
	}
	return strings.Join(names, ", ")
}

// leavingHosts are those that the flags name.
func leavingHosts(cmd *cli.Command) (leave.Hosts, error) {
	leaving := leave.Hosts{Lost: cmd.Bool("lost"), SkipDrain: cmd.Bool("skip-drain"), DrainTimeout: cmd.Duration("drain-timeout")}
	var err error
	if leaving.Masters, leaving.Nodes, err = namedHosts(cmd); err != nil {
		return leaving, err
	}
	return leaving, checkVia(cmd, leaving.Addresses(), "leaves: --via is a master that stays")
}

// namedHosts are the masters and nodes that the flags name, each once.
func namedHosts(cmd *cli.Command) (masters, nodes []netip.Addr, err error) {
	if masters, err = addresses(cmd, "masters"); err != nil {
		return nil, nil, err
	}
	if nodes, err = addresses(cmd, "nodes"); err != nil {
		return nil, nil, err
	}
	for _, address := range nodes {
		if slices.Contains(masters, address) {
			return nil, nil, commandline.Usagef("%s is given with -m and with -n: a host has one role", address)
		}
	}
	return masters, nodes, nil
}

// checkVia refuses a --via that is not an address, or one of those that cannot be it.
func checkVia(cmd *cli.Command, not []netip.Addr, because string) error {
	if !cmd.IsSet("via") {
		return nil
	}
	switch via, err := netip.ParseAddr(cmd.String("via")); {
	case err != nil:
		return commandline.Usagef("--via %q is not an IP address; give that of a master of the cluster, such as --via 192.168.0.2", cmd.String("via"))
	case slices.Contains(not, via):
		return commandline.Usagef("%s %s", via, because)
	}
	return nil
}

func addresses(cmd *cli.Command, flag string) ([]netip.Addr, error) {
	list, err := host.ParseAddresses(strings.Join(cmd.StringSlice(flag), ","))
	if err != nil {
		return nil, commandline.Usagef("--%s: %v", flag, err)
	}
	return list, nil
}

// siteOfLogins is what is known of a cluster that is running beforehand: the Clusterfile, or the logins of the flags for some of its hosts.
func siteOfLogins(ctx context.Context, cmd *cli.Command, hosts ...string) (runner.Site, error) {
	if err := checkInput(cmd); err != nil {
		return runner.Site{}, err
	}
	file, err := readLogins(ctx, cmd, hosts)
	if err != nil {
		return runner.Site{}, err
	}
	return siteOf(ctx, cmd, file)
}

func readLogins(ctx context.Context, cmd *cli.Command, hosts []string) (*clusterfile.Clusterfile, error) {
	if len(cmd.StringSlice("Clusterfile")) > 0 {
		if cmd.IsSet("via") {
			return nil, commandline.Usagef("--via and a Clusterfile: the Clusterfile names the masters; leave out --via")
		}
		return readFiles(ctx, cmd)
	}
	// Who is a master decides the cluster's state. Here they are logins.
	hosts = slices.DeleteFunc(hosts, func(list string) bool { return list == "" })
	file, err := clusterfile.FromDocument(documentOf(cmd, strings.Join(hosts, ","), ""))
	if err != nil {
		return nil, commandline.Usagef("%v", err)
	}
	return file, nil
}

// confirm has a person type the cluster's name, unless nothing would change or --yes is given.
func confirm(ctx context.Context, cmd *cli.Command, question, cluster string) error {
	if cmd.Bool("yes") || cmd.Bool("dry-run") {
		return nil
	}
	terminal, ok := commandline.Terminal(cmd.Root().Reader)
	if !ok {
		return commandline.Usagef("delete asks before it deletes, and there is no terminal: add --yes")
	}
	answer, err := commandline.Ask(ctx, terminal, cmd.Root().ErrWriter, question+" type its name: ")
	if err != nil {
		return err
	}
	if strings.TrimSpace(answer) != cluster {
		return errors.New("not deleted")
	}
	return nil
}
