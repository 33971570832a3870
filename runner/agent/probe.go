package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/kubefile/kubefile/runner/agent/wire"
)

const (
	// probeLookups is how often the name is looked up. The service spreads questions over the pods of the
	// DNS, and all of them have to be reached.
	probeLookups = 12
	probeLimit   = 3 * time.Second
	maxProbeFile = 1 << 20
)

// probe looks at the host whose files are below root.
func probe(ctx context.Context, p wire.Probe, root string) (wire.Probed, error) {
	service, err := netip.ParseAddrPort(p.Service)
	if err != nil {
		return wire.Probed{}, fmt.Errorf("service to probe: %w", wire.ErrInvalid)
	}
	answer := wire.Probed{NoDefaultRoute: !hasDefaultRoute(root, service.Addr().Is6())}
	answer.ResolvConf, answer.Nameservers = nameservers(root)
	answer.Networks = networks(root)
	dialer := net.Dialer{Timeout: probeLimit}
	conn, err := dialer.DialContext(ctx, "tcp", p.Service)
	if err != nil {
		answer.Service, answer.NoRoute = reason(err), errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH)
	} else {
		conn.Close()
	}
	if p.DNS != "" {
		if err := lookup(ctx, p.DNS, p.Name, service.Addr()); err != nil {
			answer.Lookup = reason(err)
		}
	}
	return answer, nil
}

// reason is an error without the addresses that the caller knows.
func reason(err error) string {
	var dns *net.DNSError
	var number syscall.Errno
	var timeout net.Error
	switch {
	case errors.As(err, &number):
		return number.Error()
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer"
	case errors.As(err, &dns):
		return strings.TrimSpace(dns.Err[strings.LastIndex(dns.Err, ":")+1:])
	}
	return err.Error()
}

// lookup asks the DNS for a name, which has to be the address of the service.
func lookup(ctx context.Context, server, name string, want netip.Addr) error {
	var dialer net.Dialer
	if _, err := netip.ParseAddrPort(server); err != nil {
		server = net.JoinHostPort(server, "53")
	}
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, server)
	}}
	network := "ip4"
	if want.Is6() {
		network = "ip6"
	}
	for range probeLookups {
		limited, cancel := context.WithTimeout(ctx, probeLimit)
		addresses, err := resolver.LookupNetIP(limited, network, strings.TrimSuffix(name, ".")+".")
		cancel()
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(addresses, func(a netip.Addr) bool { return a.Unmap() == want }) {
			return fmt.Errorf("answers %v, the API is at %s", addresses, want)
		}
	}
	return nil
}

// readProbed reads a file of the host, or nothing.
func readProbed(root, name string) []byte {
	f, err := os.Open(path.Join(root, name))
	if err != nil {
		return nil
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxProbeFile))
	if err != nil {
		return nil
	}
	return data
}

// hasDefaultRoute reads the main routing table of the kernel: proc(5), and in6_rt_info for IPv6. A route
// that rejects (flag 0x200) leads nowhere.
func hasDefaultRoute(root string, v6 bool) bool {
	const reject = "2"
	table, zero := "/proc/net/route", "00000000"
	if v6 {
		table, zero = "/proc/net/ipv6_route", strings.Repeat("0", 32)
	}
	for line := range strings.Lines(string(readProbed(root, table))) {
		f := strings.Fields(line)
		switch {
		case v6 && len(f) >= 10 && f[0] == zero && f[1] == "00" && f[9] != "lo" && f[8][len(f[8])-3:][:1] != reject:
			return true
		case !v6 && len(f) >= 8 && f[1] == zero && f[7] == zero && f[0] != "*" && f[0] != "lo":
			return true
		}
	}
	return false
}

// resolvArgument matches the argument that replaces resolvConf of the kubelet's configuration, as kubeadm writes it.
var resolvArgument = regexp.MustCompile(`--resolv-conf=([^\s"]+)`)

// nameservers are those that the kubelet gives to pods with the host's DNS policy, such as CoreDNS.
func nameservers(root string) (file string, servers []string) {
	var kubelet struct {
		ResolvConf *string `json:"resolvConf"`
	}
	file = "/etc/resolv.conf"
	if err := yaml.Unmarshal(readProbed(root, "/var/lib/kubelet/config.yaml"), &kubelet); err == nil && kubelet.ResolvConf != nil {
		file = *kubelet.ResolvConf
	}
	if given := resolvArgument.FindSubmatch(readProbed(root, "/var/lib/kubelet/kubeadm-flags.env")); given != nil {
		file = string(given[1])
	}
	for line := range strings.Lines(string(readProbed(root, file))) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "nameserver" {
			servers = append(servers, f[1])
		}
	}
	return file, servers
}

// networkDir is where container runtimes look for networks of pods.
const networkDir = "/etc/cni/net.d"

var prefixPattern = regexp.MustCompile(`"([0-9a-fA-F.:]+/[0-9]{1,3})"`)

// networks are the configurations of the network of pods, sorted as the runtime does.
func networks(root string) (found []wire.Network) {
	entries, err := os.ReadDir(path.Join(root, networkDir))
	if err != nil {
		return nil
	}
	for _, entry := range entries {
		if !slices.Contains([]string{".conf", ".conflist", ".json"}, filepath.Ext(entry.Name())) {
			continue
		}
		network := wire.Network{File: path.Join(networkDir, entry.Name())}
		for _, match := range prefixPattern.FindAllSubmatch(bytes.TrimSpace(readProbed(root, network.File)), -1) {
			if prefix, err := netip.ParsePrefix(string(match[1])); err == nil && prefix.Bits() > 0 {
				network.Prefixes = append(network.Prefixes, prefix.Masked().String())
			}
		}
		found = append(found, network)
	}
	return found
}
