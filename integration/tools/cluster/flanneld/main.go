// Command flanneld is flannel's daemon with the Kubernetes subnet manager and the vxlan and host-gw backends. It exists because
// upstream's main package also imports a cloud backend that the Go module proxy does not carry. It takes the place of upstream's
// in the unmodified manifest (Documentation/kube-flannel.yml); of upstream's flags it knows those a single cluster needs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/flannel-io/flannel/pkg/backend"
	_ "github.com/flannel-io/flannel/pkg/backend/hostgw" // registers the backend "host-gw"
	_ "github.com/flannel-io/flannel/pkg/backend/vxlan"  // registers the backend "vxlan"
	"github.com/flannel-io/flannel/pkg/ipmatch"
	"github.com/flannel-io/flannel/pkg/subnet"
	"github.com/flannel-io/flannel/pkg/subnet/kube"
	"github.com/flannel-io/flannel/pkg/trafficmngr"
	"github.com/flannel-io/flannel/pkg/trafficmngr/iptables"
	"github.com/flannel-io/flannel/pkg/trafficmngr/nftables"
	"github.com/flannel-io/flannel/pkg/version"
	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"
)

type options struct {
	kubeSubnetMgr    bool
	kubeAPIURL       string
	kubeconfig       string
	annotationPrefix string
	netConfig        string
	subnetFile       string
	iface            string
	publicIP         string
	publicIPv6       string
	ipMasq           bool
	resyncSeconds    int
	healthzIP        string
	healthzPort      int
}

func main() {
	var o options
	showVersion := flag.Bool("version", false, "print the version and exit")
	flag.BoolVar(&o.kubeSubnetMgr, "kube-subnet-mgr", false, "take subnets from the Kubernetes API (the only way this daemon knows)")
	flag.StringVar(&o.kubeAPIURL, "kube-api-url", "", "URL of the API server; not needed in a pod")
	flag.StringVar(&o.kubeconfig, "kubeconfig-file", "", "kubeconfig file; not needed in a pod")
	flag.StringVar(&o.annotationPrefix, "kube-annotation-prefix", "flannel.alpha.coreos.com", "prefix of the node annotations")
	flag.StringVar(&o.netConfig, "net-config-path", "/etc/kube-flannel/net-conf.json", "network configuration")
	flag.StringVar(&o.subnetFile, "subnet-file", "/run/flannel/subnet.env", "file that tells the CNI plugin this node's subnet")
	flag.StringVar(&o.iface, "iface", "", "interface (name or IP) for traffic between nodes; default: that of the default route")
	flag.StringVar(&o.publicIP, "public-ip", "", "IPv4 address by which other nodes reach this one")
	flag.StringVar(&o.publicIPv6, "public-ipv6", "", "IPv6 address by which other nodes reach this one")
	flag.BoolVar(&o.ipMasq, "ip-masq", false, "masquerade traffic that leaves the pod network")
	flag.IntVar(&o.resyncSeconds, "iptables-resync", 5, "seconds between checks of the packet filter rules")
	flag.StringVar(&o.healthzIP, "healthz-ip", "0.0.0.0", "address of the health endpoint")
	flag.IntVar(&o.healthzPort, "healthz-port", 0, "port of the health endpoint; 0 for none")
	flag.Parse()
	if *showVersion {
		fmt.Println(version.Version)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "flanneld:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if !o.kubeSubnetMgr {
		return errors.New("only --kube-subnet-mgr is supported")
	}
	var state health
	group, ctx := errgroup.WithContext(ctx)
	if o.healthzPort != 0 {
		group.Go(func() error { return state.serve(ctx, o.healthzIP, o.healthzPort) })
	}
	group.Go(func() error { return network(ctx, o, &state) })
	return group.Wait()
}

// network joins this node to the pod network and keeps it there until ctx ends.
func network(ctx context.Context, o options, state *health) error {
	manager, err := kube.NewSubnetManager(ctx, o.kubeAPIURL, o.kubeconfig, o.annotationPrefix, o.netConfig, true)
	if err != nil {
		return fmt.Errorf("starting the subnet manager: %w", err)
	}
	config, err := manager.GetNetworkConfig(ctx)
	if err != nil {
		return fmt.Errorf("reading the network configuration: %w", err)
	}
	iface, err := externalInterface(ctx, o, manager, config)
	if err != nil {
		return fmt.Errorf("choosing the interface for traffic between nodes: %w", err)
	}
	be, err := backend.NewManager(ctx, manager, iface).GetBackend(config.BackendType)
	if err != nil {
		return fmt.Errorf("backend %q: %w", config.BackendType, err)
	}
	// The backend's goroutines end with ctx and are waited for, whatever the reason to leave.
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	net, err := be.RegisterNetwork(ctx, &wg, config)
	if err != nil {
		return fmt.Errorf("registering the network: %w", err)
	}
	if err := filterRules(ctx, o, config, net); err != nil {
		return err
	}
	lease := net.Lease()
	if err := manager.HandleSubnetFile(o.subnetFile, config, o.ipMasq, lease.Subnet, lease.IPv6Subnet, net.MTU()); err != nil {
		return fmt.Errorf("writing %s: %w", o.subnetFile, err)
	}
	state.ready.Store(true)
	klog.Infof("subnet %s of %s, backend %s on %s", lease.Subnet, config.Network, config.BackendType, iface.Iface.Name)
	wg.Go(func() { net.Run(ctx) })
	if err := manager.CompleteLease(ctx, lease, &wg); err != nil {
		return fmt.Errorf("telling the API server that the network is up: %w", err)
	}
	<-ctx.Done()
	return ctx.Err()
}

// externalInterface finds the interface by --iface or the default route. An address stored in the node's annotations goes
// before the flags.
func externalInterface(ctx context.Context, o options, manager subnet.Manager, config *subnet.Config) (*backend.ExternalInterface, error) {
	public := ipmatch.PublicIPOpts{PublicIP: o.publicIP, PublicIPv6: o.publicIPv6}
	if v4, v6 := manager.GetStoredPublicIP(ctx); v4 != "" || v6 != "" {
		public = ipmatch.PublicIPOpts{PublicIP: v4, PublicIPv6: v6}
	}
	stack, err := ipmatch.GetIPFamily(config.EnableIPv4, config.EnableIPv6)
	if err != nil {
		return nil, err
	}
	name := o.iface
	if name == "" {
		name = public.PublicIP
	}
	return ipmatch.LookupExtIface(name, "", "", stack, public)
}

// filterRules lets the pod network's packets through the packet filter and, with --ip-masq, masquerades those that leave it.
// Rules of the filter that is not in use are removed: the configuration may have changed since the last start.
func filterRules(ctx context.Context, o options, config *subnet.Config, net backend.Network) error {
	var used, unused trafficmngr.TrafficManager = &iptables.IPTablesManager{}, &nftables.NFTablesManager{}
	if config.EnableNFTables {
		used, unused = unused, used
	}
	if err := unused.CleanUp(ctx); err != nil {
		return fmt.Errorf("removing rules of the other packet filter: %w", err)
	}
	if err := used.Init(ctx); err != nil {
		return fmt.Errorf("preparing the packet filter: %w", err)
	}
	if o.ipMasq {
		before, err := readSubnetFile(o.subnetFile)
		if err != nil {
			return err
		}
		if err := used.SetupAndEnsureMasqRules(ctx, config.Network, before.subnet, before.network,
			config.IPv6Network, before.subnet6, before.network6, net.Lease(), o.resyncSeconds, false); err != nil {
			return fmt.Errorf("masquerading: %w", err)
		}
	}
	used.SetupAndEnsureForwardRules(ctx, config.Network, config.IPv6Network, o.resyncSeconds)
	return nil
}
