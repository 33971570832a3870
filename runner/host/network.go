package host

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Network is how a host reaches others. Everything in it was said by the host: it is fit to be shown and compared.
type Network struct {
	Addresses    []LinkAddress
	DefaultRoute map[int]bool // by address family: 4, 6
	ResolvConf   string       // the file from which the kubelet of kubeadm gives nameservers to pods
	Resolv       []string     // its lines: nameserver, search, domain and options
}

// LinkAddress is an address of a network interface.
type LinkAddress struct {
	Interface string
	Address   netip.Addr
}

//go:embed network.sh
var networkScript string

// GatherNetwork asks the host how it reaches others, and changes nothing.
func GatherNetwork(ctx context.Context, conn Conn) (*Network, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	out, err := Output(ctx, conn, Command{Argv: []string{"sh", "-c", networkScript, "sh"}, Root: true})
	if err != nil {
		return nil, fmt.Errorf("asking the host for its network: %w", err)
	}
	n, err := parseNetwork(out)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", conn.Host(), err)
	}
	return n, nil
}

// parseNetwork reads what network.sh prints. Unknown keys are passed over.
func parseNetwork(out []byte) (*Network, error) {
	n := &Network{DefaultRoute: map[int]bool{}}
	said := false
	scanner := bufio.NewScanner(bytes.NewReader(out))
	scanner.Buffer(nil, maxFactLine)
	for scanner.Scan() {
		key, value, _ := strings.Cut(scanner.Text(), "\t")
		value = strings.TrimSpace(printable(strings.ReplaceAll(value, "\t", " ")))
		if len(n.Addresses)+len(n.Resolv) >= maxFactItems {
			return nil, fmt.Errorf("the host's answer is not understood: more than %d lines", maxFactItems)
		}
		switch key {
		case "network":
			said = true
		case "address":
			link, text, _ := strings.Cut(value, " ")
			text, _, _ = strings.Cut(text, "/")
			address, err := netip.ParseAddr(text)
			if err != nil {
				return nil, fmt.Errorf("the host's answer is not understood: %w", err)
			}
			n.Addresses = append(n.Addresses, LinkAddress{link, address.WithZone("").Unmap()})
		case "default-route":
			n.DefaultRoute[4] = n.DefaultRoute[4] || value == "4"
			n.DefaultRoute[6] = n.DefaultRoute[6] || value == "6"
		case "resolv-conf":
			n.ResolvConf = value
		case "resolv":
			n.Resolv = append(n.Resolv, value)
		}
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("the host's answer is not understood: %w", err)
	}
	if !said {
		return nil, errors.New("the host's answer is not understood: the login's shell must run commands")
	}
	return n, nil
}

// Interface returns the interface that has an address; empty when none has.
func (n *Network) Interface(address netip.Addr) string {
	for _, a := range n.Addresses {
		if a.Address == address {
			return a.Interface
		}
	}
	return ""
}

// Peer returns the address of the other family on the interface that has an address; the zero address when there is none.
func (n *Network) Peer(address netip.Addr) netip.Addr {
	link := n.Interface(address)
	for _, a := range n.Addresses {
		if link != "" && a.Interface == link && a.Address.Is4() != address.Is4() && a.Address.IsGlobalUnicast() {
			return a.Address
		}
	}
	return netip.Addr{}
}

// Nameservers are those that pods can ask: not those on a loopback address, which in a pod is the pod itself, nor those that only an
// interface of the host reaches.
func (n *Network) Nameservers() []string {
	var usable []string
	for _, line := range n.Resolv {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		address, err := netip.ParseAddr(fields[1])
		if err != nil || address.IsLoopback() || address.IsUnspecified() || address.IsLinkLocalUnicast() {
			continue
		}
		usable = append(usable, fields[1])
	}
	return usable
}

// HasUnusableNameserver reports whether the file names a nameserver that pods cannot ask.
func (n *Network) HasUnusableNameserver() bool {
	all := slices.DeleteFunc(slices.Clone(n.Resolv), func(line string) bool { return !strings.HasPrefix(line, "nameserver") })
	return len(all) > len(n.Nameservers())
}
