package clusterfile

import (
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"strings"

	format "github.com/kubefile/kubefile/imagespec/clusterfile"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/plugin"
)

// checks are what the texts of fields have to pass.
var checks = format.Checks{
	"address":   func(text string) error { _, err := oneAddress(text); return err },
	"addresses": checkAddresses,
	"cidr":      checkNetwork,
	"dnsName":   func(text string) error { return checkHostname(strings.TrimPrefix(text, "*.")) },
	"hostname":  checkHostname,
	"label":     checkLabel,
	"path":      checkPath,
	"port":      func(text string) error { _, err := format.Port(text).Number(); return err },
	"provider":  only("BAREMETAL", "hosts are not made here, only used"),
	"role":      checkRole,
	"runtime":   only("containerd", "cluster images bring containerd"),
	"taint":     func(text string) error { _, err := plugin.ParseTaint(text); return err },
	"true":      only("true", "every master has all images, always"),
	"variable":  func(text string) error { _, err := environment.Parse([]string{text}); return err },
}

// only takes one value, or none.
func only(value, because string) func(string) error {
	return func(text string) error {
		if text != "" && text != value {
			return fmt.Errorf("there is no %q: %s: write %s, or take it out", text, because, value)
		}
		return nil
	}
}

func checkNetwork(text string) error {
	if _, err := netip.ParsePrefix(text); err != nil {
		return fmt.Errorf("%q is not a network: write it as 10.244.0.0/16", text)
	}
	return nil
}

func checkLabel(text string) error {
	key, value, _ := strings.Cut(text, "=")
	return plugin.CheckLabel(key, value)
}

func checkAddresses(text string) error {
	addresses, err := host.ParseAddresses(text)
	if err == nil && len(addresses) == 0 {
		err = fmt.Errorf("%q is not an address: write 192.168.0.2, or 192.168.0.2-192.168.0.7", text)
	}
	return err
}

func oneAddress(text string) (netip.Addr, error) {
	addresses, err := host.ParseAddresses(text)
	if err != nil || len(addresses) != 1 {
		return netip.Addr{}, fmt.Errorf("%q is not one IP address: write it as 192.168.0.2", text)
	}
	return addresses[0], nil
}

var (
	hostname = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
	roleName = regexp.MustCompile(`^[a-z0-9A-Z]([a-z0-9A-Z._-]{0,61}[a-z0-9A-Z])?$`)
	// clusterName is a label as in RFC 1123, and safe as a directory's name.
	clusterName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	// plainPath is a path that systemd's units and scripts without quotes take.
	plainPath = regexp.MustCompile(`^(/[A-Za-z0-9_][A-Za-z0-9._-]*)+$`)
)

// checkHostname is RFC 1123, section 2.1.
func checkHostname(text string) error {
	if len(text) > 253 || !hostname.MatchString(strings.ToLower(text)) {
		return fmt.Errorf("%q is not a valid host name: use letters, digits, dashes and dots", text)
	}
	return nil
}

// checkRole takes what can end a label's key.
func checkRole(text string) error {
	if !roleName.MatchString(text) {
		return fmt.Errorf("%q is not a valid role: use letters, digits, dashes and dots", text)
	}
	return nil
}

func checkPath(text string) error {
	if path.Clean(text) != text || !plainPath.MatchString(text) {
		return fmt.Errorf("%q: write it as an absolute path of letters, digits, dots, dashes and underscores, like /var/lib/sealer/data", text)
	}
	return nil
}
