//go:build sshd

package hosttest

import "testing"

// OpenSSH passes the tests of the server that replaces it.
func TestOpenSSH(t *testing.T) {
	testServer(t, func(t *testing.T) *Server { return NewOpenSSH(t, nil) })
}
