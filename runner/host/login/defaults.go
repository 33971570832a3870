package login

import (
	"net/netip"

	"github.com/kubefile/kubefile/runner/host"
)

// user returns the login name.
func user(a host.Auth) string {
	if a.User == "" {
		return "root"
	}
	return a.User
}

// port returns the SSH port.
func port(a host.Auth) uint16 {
	if a.Port == 0 {
		return 22
	}
	return a.Port
}

// sudoPassword returns what sudo may ask for.
func sudoPassword(a host.Auth) host.Secret {
	if a.SudoPassword == "" {
		return a.Password
	}
	return a.SudoPassword
}

// endpoint is the SSH address, host:port.
func endpoint(h host.Host) string {
	return netip.AddrPortFrom(h.Address, port(h.Auth)).String()
}
