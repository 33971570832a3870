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
	"time"
)

// TestDaemonsEndWhenTold: to systemd a unit that ends with another status than 0 after SIGTERM has failed.
func TestDaemonsEndWhenTold(t *testing.T) {
	for command, config := range map[string]string{
		"apiserver-proxy": `{"listen":[%q],"backends":["127.0.0.1:1"]}`, // no backend answers
		"registry":        `{"listen":[{"address":%q}],"stores":["/nowhere"]}`,
	} {
		t.Run(command, func(t *testing.T) {
			address := freeAddress(t)
			file := filepath.Join(t.TempDir(), "config.json")
			if err := os.WriteFile(file, fmt.Appendf(nil, config, address), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), os.Args[0], command, "serve", "--config", file)
			cmd.Env = append(os.Environ(), asProgram+"=1")
			cmd.Stderr = t.Output()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			awaitListener(t, address)
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("%s serve ended with %v after SIGTERM, want success", command, err)
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

func awaitListener(t *testing.T, address string) {
	t.Helper()
	var err error
	for range 300 {
		var conn net.Conn
		if conn, err = net.DialTimeout("tcp", address, time.Second); err == nil {
			conn.Close()
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("nothing listens: %v", err)
}
