// Package balancer is the load balancer for the Kubernetes API that runs on every node: it passes TCP connections on to whichever master
// answers. The proxying is tcpproxy's; here is what it lacks: the choice among masters, and what becomes of a master that died.
package balancer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
)

const (
	// Unit is the systemd unit of the balancer.
	Unit = "kubefile-apiserver.service"
	// ConfigFile is its configuration, in the cluster's directory.
	ConfigFile = "apiserver.json"
)

// Config says where to listen and where to pass on to, both as ADDRESS:PORT.
type Config struct {
	// Version is the form of the configuration. It is raised when an older program would do something wrong with it; fields that such a program
	// may ignore do not raise it.
	Version  int      `json:"version,omitempty"`
	Listen   []string `json:"listen"`
	Backends []string `json:"backends"`
}

// version is the newest form that this program knows.
const version = 1

// ParseConfig reads and checks a configuration. It ignores fields that it does not know: the program that writes it may be newer.
func ParseConfig(data []byte) (Config, error) {
	var c Config
	decoder := json.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&c); err != nil {
		return Config{}, fmt.Errorf("reading the balancer's configuration: %w", err)
	}
	if decoder.More() {
		return Config{}, errors.New("reading the balancer's configuration: something follows it")
	}
	if c.Version > version {
		return Config{}, fmt.Errorf("the balancer's configuration has version %d, and this program knows %d: apply the cluster's image again with the sealer-run that came with it",
			c.Version, version)
	}
	if len(c.Listen) == 0 || len(c.Backends) == 0 {
		return Config{}, errors.New("the balancer's configuration needs an address to listen on and a backend")
	}
	seen := map[string]bool{}
	for _, address := range append(append([]string{}, c.Listen...), c.Backends...) {
		parsed, err := netip.ParseAddrPort(address)
		if err != nil || parsed.Port() == 0 {
			return Config{}, fmt.Errorf("the balancer's configuration: %q is not an address with a port", address)
		}
		if seen[parsed.String()] {
			return Config{}, fmt.Errorf("the balancer's configuration: %s is listed twice", address)
		}
		seen[parsed.String()] = true
	}
	return c, nil
}
