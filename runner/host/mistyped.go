package host

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// errEmptyEntry is the reason why a list with two commas in a row, or one at its end, is refused.
var errEmptyEntry = errors.New("an entry of the list is empty: separate addresses with one comma")

// notAddress returns the error about a text that is not an IP address, with what to write for what was probably meant.
func notAddress(text string) error {
	text = strings.TrimSpace(text)
	if text == "" {
		return errEmptyEntry
	}
	return fmt.Errorf("%q is not an IP address; %s", text, spelling(text))
}

// spelling is how to write what is in a text that is not an IP address.
func spelling(text string) string {
	bare := strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	_, afterLogin, hasLogin := strings.Cut(text, "@")
	if a, err := netip.ParseAddr(bare); err == nil {
		return fmt.Sprintf("write an IPv6 address without brackets: %s", a)
	}
	if a, err := netip.ParseAddrPort(text); err == nil {
		return fmt.Sprintf("write %s, and the SSH port with --port (ssh.port in a Clusterfile)", a.Addr())
	}
	if a, err := netip.ParseAddr(afterLogin); err == nil && hasLogin {
		return fmt.Sprintf("write %s, and the login with --user (ssh.user in a Clusterfile)", a)
	}
	if _, err := netip.ParsePrefix(text); err == nil {
		return "hosts of a network are a range, such as 192.168.0.2-192.168.0.7"
	}
	return "host names are not supported (write 192.168.0.2, or 192.168.0.2-192.168.0.7)"
}
