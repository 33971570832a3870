package clusterfile

import (
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/plugin"
)

// checks are what the texts of fields have to pass, by the name in the field's tag.
var checks = map[string]func(string) error{
	"address":   func(text string) error { _, err := oneAddress(text); return err },
	"addresses": checkAddresses,
	"cidr":      func(text string) error { _, err := netip.ParsePrefix(text); return err },
	"hostname":  checkHostname,
	"path":      checkPath,
	"port":      func(text string) error { _, err := Port(text).Number(); return err },
	"role":      checkRole,
	"taint":     func(text string) error { _, err := plugin.ParseTaint(text); return err },
	"variable":  func(text string) error { _, err := environment.Parse([]string{text}); return err },
}

func checkAddresses(text string) error {
	addresses, err := host.ParseAddresses(text)
	if err == nil && len(addresses) == 0 {
		err = fmt.Errorf("no address in %q", text)
	}
	return err
}

func oneAddress(text string) (netip.Addr, error) {
	addresses, err := host.ParseAddresses(text)
	if err != nil || len(addresses) != 1 {
		return netip.Addr{}, fmt.Errorf("%q is not one IP address", text)
	}
	return addresses[0], nil
}

var (
	hostname = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
	roleName = regexp.MustCompile(`^[a-z0-9A-Z]([a-z0-9A-Z._-]{0,61}[a-z0-9A-Z])?$`)
)

// checkHostname is RFC 1123, section 2.1.
func checkHostname(text string) error {
	if len(text) > 253 || !hostname.MatchString(strings.ToLower(text)) {
		return fmt.Errorf("%q is no host name", text)
	}
	return nil
}

// checkRole takes what can end a label's key.
func checkRole(text string) error {
	if !roleName.MatchString(text) {
		return fmt.Errorf("%q is no role: letters, digits, dashes and dots", text)
	}
	return nil
}

func checkPath(text string) error {
	if path.Clean(text) != text || !path.IsAbs(text) || text == "/" || strings.ContainsAny(text, "\x00\n") {
		return fmt.Errorf("%q: write it as an absolute path, like /var/lib/sealer/data", text)
	}
	return nil
}

// Port is a port number, written as a number or as text.
type Port string

// Number returns the port; 0 for an empty text.
func (p Port) Number() (uint16, error) {
	if p == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(string(p), 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is no port: 1 to 65535", string(p))
	}
	return uint16(n), nil
}
