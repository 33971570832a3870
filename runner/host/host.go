package host

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
)

// Secret is a password or passphrase. It never formats as its value: neither
// fmt, log/slog nor an encoder can leak it.
type Secret string

// Reveal returns the value itself.
func (s Secret) Reveal() string { return string(s) }

// String hides the value.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "[secret]"
}

// Format hides the value from every fmt verb, %x and %#v included.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// LogValue hides the value from log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText refuses: a secret has no place in a file or a message.
func (s Secret) MarshalText() ([]byte, error) {
	return nil, errors.New("a secret must not be written out")
}

// Role is what a host does in the cluster.
type Role string

const (
	// RoleMaster is a host that runs the control plane and holds the images.
	RoleMaster Role = "master"
	// RoleNode is a host that only runs workloads.
	RoleNode Role = "node"
)

// Auth says how to log in to a host. The zero value is root on port 22 with the
// keys that ssh itself would offer.
type Auth struct {
	User          string // login name; default root
	Port          uint16 // SSH port; default 22
	Password      Secret // for password and keyboard-interactive logins
	KeyFile       string // private key; default ssh's own default files and the agent
	KeyPassphrase Secret // of KeyFile when it is encrypted
	SudoPassword  Secret // for a User other than root; default Password
}

// Host is one machine of the cluster.
type Host struct {
	Address netip.Addr // how it is reached, and its identity in every message
	Role    Role
	Auth    Auth
	Local   bool // the machine we run on: commands run here, without SSH
}

// String is the host's address.
func (h Host) String() string { return h.Address.String() }

// Flag is how the host is given on the command line.
func (h Host) Flag() string {
	if h.Role == RoleMaster {
		return "-m " + h.String()
	}
	return "-n " + h.String()
}

// maxAddresses bounds one list of addresses: a mistyped range must not become
// thousands of connections.
const maxAddresses = 1024

// ParseAddresses reads a list of IP addresses and inclusive ranges,
// "192.168.0.2,192.168.0.5-192.168.0.7". IPv4 and IPv6 are accepted; an address
// that appears twice is an error, as is a list of more than 1024 addresses. An
// empty list is no addresses.
func ParseAddresses(list string) ([]netip.Addr, error) {
	if strings.TrimSpace(list) == "" {
		return nil, nil
	}
	var addresses []netip.Addr
	for item := range strings.SplitSeq(list, ",") {
		first, last, err := parseRange(strings.TrimSpace(item))
		if err != nil {
			return nil, err
		}
		for a := first; ; a = a.Next() {
			if len(addresses) == maxAddresses {
				return nil, fmt.Errorf("more than %d addresses in %q", maxAddresses, list)
			}
			addresses = append(addresses, a)
			if a == last {
				break
			}
		}
	}
	seen := make(map[netip.Addr]bool, len(addresses))
	for _, a := range addresses {
		if seen[a] {
			return nil, fmt.Errorf("address %s is given twice in %q: name each host once", a, list)
		}
		seen[a] = true
	}
	return addresses, nil
}

// parseRange reads one address, or two joined by a dash.
func parseRange(item string) (first, last netip.Addr, err error) {
	from, to, isRange := strings.Cut(item, "-")
	if isRange && (strings.TrimSpace(from) == "" || strings.TrimSpace(to) == "") {
		return first, last, fmt.Errorf("host list entry %q: a range needs two addresses, as in 192.168.0.2-192.168.0.7", item)
	}
	if first, err = parseAddress(from); err != nil {
		if _, whole := parseAddress(item); whole != nil && isRange {
			err = whole // a name may have a dash in it
		}
		return first, last, fmt.Errorf("host list entry %q: %w", item, err)
	}
	if !isRange {
		return first, first, nil
	}
	if last, err = parseAddress(to); err != nil {
		return first, last, fmt.Errorf("host list entry %q: %w", item, err)
	}
	if first.BitLen() != last.BitLen() || last.Less(first) {
		return first, last, fmt.Errorf("host list entry %q: a range goes from a lower to a higher address of one family", item)
	}
	return first, last, nil
}

// parseAddress reads one address that a connection can be made to.
func parseAddress(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(strings.TrimSpace(s))
	if err != nil {
		return a, notAddress(s)
	}
	if a.Zone() != "" {
		return a, fmt.Errorf("%q is not the address of a host: it has a zone, which means something on one machine only", s)
	}
	if a.IsUnspecified() || a.IsMulticast() {
		return a, fmt.Errorf("%q is not the address of a host", s)
	}
	return a.Unmap(), nil
}

// Inventory makes the hosts of a cluster from two lists in the form of
// [ParseAddresses], masters first, in the order written. At least one master is
// required; a host that is in both lists is an error.
func Inventory(masters, nodes string, auth Auth) ([]Host, error) {
	var hosts []Host
	role := make(map[netip.Addr]Role)
	for _, part := range []struct {
		role Role
		list string
	}{{RoleMaster, masters}, {RoleNode, nodes}} {
		addresses, err := ParseAddresses(part.list)
		if err != nil {
			return nil, fmt.Errorf("%ss: %w", part.role, err)
		}
		for _, a := range addresses {
			if was, ok := role[a]; ok {
				return nil, fmt.Errorf("address %s is given both as %s and as %s: a host has one role", a, was, part.role)
			}
			role[a] = part.role
			hosts = append(hosts, Host{Address: a, Role: part.role, Auth: auth})
		}
	}
	if len(hosts) == 0 || hosts[0].Role != RoleMaster {
		return nil, errors.New("no master given: name at least one, as in -m 192.168.0.2")
	}
	return hosts, nil
}
