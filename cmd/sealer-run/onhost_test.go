//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// TestServicesEndAtSIGTERM stops the services as systemd does, which marks a unit as failed if it exits with another status than 0.
func TestServicesEndAtSIGTERM(t *testing.T) {
	store := layout(t)
	for name, config := range map[string]string{
		"apiserver-proxy": `{"listen": [%q], "backends": ["127.0.0.1:1"]}`, // on which nothing answers
		"registry":        `{"listen": [{"address": %q}], "stores": [` + fmt.Sprintf("%q", store) + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			address := freeAddress(t)
			file := filepath.Join(t.TempDir(), "config.json")
			if err := os.WriteFile(file, fmt.Appendf(nil, config, address), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), os.Args[0], name, "serve", "--config", file)
			cmd.Env = append(os.Environ(), asProgram+"=1")
			cmd.Stderr = t.Output()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			for !accepts(t, address) {
				select {
				case err := <-ended:
					t.Fatalf("ended before it listened: %v", err)
				default:
				}
			}
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err != nil {
				t.Errorf("got %v, want exit status 0", err)
			}
		})
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func accepts(t *testing.T, address string) bool {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
