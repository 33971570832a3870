package registryproxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// Unit is the name of the systemd unit that runs the proxy on a host.
const Unit = "kubefile-registry.service"

// Config configures the proxy of one host. File and directory names are absolute.
type Config struct {
	// Version is the form of the configuration. It is raised when an older program would do something wrong with it, as letting in whom it must
	// not; fields that such a program may ignore do not raise it.
	Version int `json:"version,omitempty"`
	// Stores are the directories with embedded images, asked in this order; none on hosts that hold no images. One may appear later. A part
	// of the path that is * matches every directory there, in sorted order: /apps/*/registry.
	Stores []string `json:"stores,omitempty"`
	// Domain is the registry's own name, as name:port, for images without the registry that they come from (sea.hub:5000/a/b:1): these are
	// looked for in docker.io and then in every registry, in sorted order, that images of the stores come from. Empty for none.
	Domain string `json:"domain,omitempty"`
	// Listen are the addresses to serve at.
	Listen []Listener `json:"listen"`
	// Seeds are the other hosts that hold the images, as host:port, asked in this order.
	Seeds []string `json:"seeds,omitempty"`
	// Authority is the file of the certificate authority that seeds are verified against.
	Authority string `json:"ca,omitempty"`
	// Credentials is the file with the credentials for the seeds, in the format of [Credentials.Line]; empty if they require none.
	Credentials string `json:"credentials,omitempty"`
	// PlainHTTP makes the hosts use plain HTTP between each other instead of TLS.
	PlainHTTP bool `json:"plainHTTP,omitempty"`
	// Records is the directory for what was served and missed; empty for none.
	Records string `json:"records,omitempty"`
}

// Listener is one address. Without a certificate it serves plain HTTP, which is allowed only on loopback addresses unless PlainHTTP is set.
type Listener struct {
	Address     string `json:"address"` // IP:port
	Certificate string `json:"cert,omitempty"`
	Key         string `json:"key,omitempty"`
	// Users is the file with the users that may pull, in the format of [Credentials.Htpasswd]; empty allows everyone.
	Users string `json:"users,omitempty"`
}

// version is the newest form of a configuration that this program knows.
const version = 1

// ParseConfig reads and checks a configuration. It ignores fields that it does not know: the program that writes it may be newer.
func ParseConfig(data []byte) (Config, error) {
	var config Config
	document := struct {
		*Config
		Store string `json:"store"` // the only one, in configurations of older runners
	}{Config: &config}
	decoder := json.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&document); err != nil {
		return config, fmt.Errorf("registry configuration: %w", err)
	}
	if document.Store != "" {
		config.Stores = append(config.Stores, document.Store)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return config, errors.New("registry configuration: more than one JSON value")
	}
	return config, config.Validate()
}

// Validate checks everything that can be checked without looking at files.
func (c Config) Validate() error {
	if err := c.check(); err != nil {
		return fmt.Errorf("registry configuration: %w", err)
	}
	return nil
}

func (c Config) check() error {
	if c.Version > version {
		return fmt.Errorf("version %d is newer than what this program knows (%d): apply the cluster's image again with the sealer-run that came with it", c.Version, version)
	}
	if len(c.Listen) == 0 {
		return errors.New("listen: no address")
	}
	if c.Domain != "" {
		if err := checkAddress(c.Domain); err != nil {
			return fmt.Errorf("domain: %w", err)
		}
	}
	files := append([]string{c.Authority, c.Credentials, c.Records}, c.Stores...)
	addresses := map[string]bool{}
	for _, l := range c.Listen {
		if err := l.check(c.PlainHTTP); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		if addresses[l.Address] && !strings.HasSuffix(l.Address, ":0") {
			return fmt.Errorf("listen: %s twice", l.Address)
		}
		addresses[l.Address] = true
		files = append(files, l.Certificate, l.Key, l.Users)
	}
	for _, seed := range c.Seeds {
		if err := checkAddress(seed); err != nil {
			return fmt.Errorf("seeds: %w", err)
		}
	}
	if len(c.Seeds) > 0 && c.Authority == "" && !c.PlainHTTP {
		return errors.New("seeds without ca")
	}
	if len(c.Seeds) == 0 && len(c.Stores) == 0 {
		return errors.New("neither stores nor seeds: there would be nothing to serve")
	}
	for _, file := range files {
		if file != "" && !filepath.IsAbs(file) {
			return fmt.Errorf("%s: not an absolute path", file)
		}
	}
	return nil
}

// UnmarshalJSON refuses fields that are not known: each may restrict who is let in.
func (l *Listener) UnmarshalJSON(data []byte) error {
	type fields Listener
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode((*fields)(l)); err != nil {
		return fmt.Errorf("listen: %w (if a newer program wrote it, apply the cluster's image again with the sealer-run that came with it)", err)
	}
	return nil
}

func (l Listener) check(plain bool) error {
	if err := checkAddress(l.Address); err != nil {
		return err
	}
	if (l.Certificate == "") != (l.Key == "") {
		return fmt.Errorf("%s: cert and key go together", l.Address)
	}
	host, _, _ := net.SplitHostPort(l.Address)
	ip := net.ParseIP(host)
	if ip == nil {
		return fmt.Errorf("%s: not an IP address", l.Address)
	}
	if l.Certificate == "" && !ip.IsLoopback() && !plain {
		return fmt.Errorf("%s: plain HTTP is for loopback addresses only", l.Address)
	}
	return nil
}

// checkAddress checks a host:port.
func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil || !hostGrammar.MatchString(host) {
		return fmt.Errorf("%q is not host:port", address)
	}
	return nil
}
