package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/containernetworking/cni/pkg/skel"
)

// config is the plugin's entry in a network configuration list.
type config struct {
	CNIVersion    string         `json:"cniVersion"`
	Name          string         `json:"name"`
	SubnetFile    string         `json:"subnetFile"` // default /run/flannel/subnet.env
	DataDir       string         `json:"dataDir"`    // default /var/lib/cni/flannel
	Delegate      map[string]any `json:"delegate"`
	RuntimeConfig map[string]any `json:"runtimeConfig"`
	PrevResult    any            `json:"prevResult"`
}

func parseConfig(data []byte) (*config, error) {
	c := &config{SubnetFile: "/run/flannel/subnet.env", DataDir: "/var/lib/cni/flannel"}
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("reading the network configuration: %w", err)
	}
	for _, key := range []string{"name", "cniVersion"} {
		if _, ok := c.Delegate[key]; ok {
			return nil, fmt.Errorf("network %s: delegate must not have the field %q", c.Name, key)
		}
	}
	return c, nil
}

func (c *config) delegateType() string {
	if t, ok := c.Delegate["type"].(string); ok {
		return t
	}
	return "bridge"
}

// keptFile is where the delegate's configuration for one interface of one container is kept. Both parts of the name were
// checked by the CNI library: they hold no separator.
func (c *config) keptFile(args *skel.CmdArgs) string {
	return filepath.Join(c.DataDir, args.ContainerID+"-"+args.IfName)
}

// delegate returns the configuration for the delegate: what the user wrote, completed from the node's subnet.
func (c *config) delegate(env subnetEnv) map[string]any {
	d := map[string]any{"type": c.delegateType(), "mtu": env.mtu}
	if c.delegateType() == "bridge" {
		d["isGateway"] = true
	}
	// Either flanneld masquerades for the whole node or the delegate does for its own addresses.
	d["ipMasq"] = !env.masquerades
	maps.Copy(d, c.Delegate)
	d["cniVersion"], d["name"] = c.CNIVersion, c.Name
	if c.RuntimeConfig != nil {
		d["runtimeConfig"] = c.RuntimeConfig
	}
	ipam, _ := c.Delegate["ipam"].(map[string]any)
	d["ipam"] = hostLocal(ipam, env)
	return d
}

// hostLocal completes the user's ipam fields: addresses from the node's subnets, routes to the whole pod networks.
func hostLocal(user map[string]any, env subnetEnv) map[string]any {
	ipam := maps.Clone(user)
	if ipam == nil {
		ipam = map[string]any{}
	}
	ipam["type"] = "host-local"
	var ranges, routes []any
	for _, subnet := range env.subnets {
		ranges = append(ranges, []any{map[string]any{"subnet": subnet.Masked().String()}})
	}
	for _, network := range env.networks {
		routes = append(routes, map[string]any{"dst": network.String()})
	}
	ipam["ranges"] = ranges
	own, _ := ipam["routes"].([]any)
	ipam["routes"] = append(routes, own...)
	return ipam
}

// subnetEnv is the content of the subnet file.
type subnetEnv struct {
	networks, subnets []netip.Prefix // IPv4, IPv6 or both
	mtu               int
	masquerades       bool
}

func readSubnetFile(path string) (subnetEnv, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return subnetEnv{}, fmt.Errorf("reading this node's subnet (does flanneld run here?): %w", err)
	}
	env, err := parseSubnetEnv(string(data))
	if err != nil {
		return subnetEnv{}, fmt.Errorf("%s: %w", path, err)
	}
	return env, nil
}

func parseSubnetEnv(text string) (subnetEnv, error) {
	var env subnetEnv
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		var err error
		var prefixes *[]netip.Prefix
		switch key {
		case "FLANNEL_NETWORK", "FLANNEL_IPV6_NETWORK":
			prefixes = &env.networks
		case "FLANNEL_SUBNET", "FLANNEL_IPV6_SUBNET":
			prefixes = &env.subnets
		case "FLANNEL_MTU":
			env.mtu, err = strconv.Atoi(value)
		case "FLANNEL_IPMASQ":
			env.masquerades, err = strconv.ParseBool(value)
		}
		if prefixes != nil {
			var prefix netip.Prefix
			prefix, err = netip.ParsePrefix(value)
			*prefixes = append(*prefixes, prefix)
		}
		if err != nil {
			return subnetEnv{}, fmt.Errorf("%s: %w", key, err)
		}
	}
	if len(env.networks) == 0 || len(env.subnets) != len(env.networks) || env.mtu == 0 {
		return subnetEnv{}, fmt.Errorf("network, subnet or MTU is missing")
	}
	return env, nil
}
