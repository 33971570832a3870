package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"

	"github.com/flannel-io/flannel/pkg/ip"
)

// subnets is what an earlier run wrote to the subnet file; its rules are replaced when they differ from today's. All are zero
// when there was none.
type subnets struct {
	network, subnet   ip.IP4Net
	network6, subnet6 ip.IP6Net
}

func readSubnetFile(path string) (subnets, error) {
	s := subnets{network6: ip.IP6Net{IP: &ip.IP6{}}, subnet6: ip.IP6Net{IP: &ip.IP6{}}}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if !strings.HasSuffix(key, "_NETWORK") && !strings.HasSuffix(key, "_SUBNET") {
			continue
		}
		_, cidr, err := net.ParseCIDR(value)
		if err != nil {
			return s, fmt.Errorf("%s: %s: %w", path, key, err)
		}
		switch key {
		case "FLANNEL_NETWORK":
			s.network = ip.FromIPNet(cidr)
		case "FLANNEL_SUBNET":
			s.subnet = ip.FromIPNet(cidr)
		case "FLANNEL_IPV6_NETWORK":
			s.network6 = ip.FromIP6Net(cidr)
		case "FLANNEL_IPV6_SUBNET":
			s.subnet6 = ip.FromIP6Net(cidr)
		}
	}
	return s, nil
}
