package registry

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/host"
)

// disk is the files of a host, and what was done to it.
type disk struct {
	real     string // what is written below it is written to the test's own disk, too
	mu       sync.Mutex
	files    map[string][]byte
	modes    map[string]fs.FileMode
	written  []string // but for the marker
	restarts int
	broken   bool // the unit does not start
}

// answer does what the phase asks of a host.
func (d *disk) answer(t *testing.T, cmd host.Command) (string, int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	argv := cmd.Argv
	code := map[bool]int{true: 0, false: 1}
	switch {
	case argv[0] == "test" && argv[1] == "-s":
		for _, name := range argv[2:] {
			if strings.HasPrefix(name, "/") && len(d.files[name]) == 0 {
				return "", 1
			}
		}
		return "", 0
	case argv[0] == "cat":
		return string(d.files[argv[1]]), code[d.files[argv[1]] != nil]
	case argv[0] == "sh" && strings.HasSuffix(argv[2], `|| cat "$1"`):
		return string(d.files[argv[4]]), 0
	case argv[0] == "sh" && strings.HasPrefix(argv[2], "test "):
		return "", code[strings.TrimSpace(string(d.files[argv[4]])) == argv[5]]
	case argv[0] == "sh" && strings.Contains(argv[2], "sha256sum -c"):
		return "", code[fmt.Sprintf("%x", sha256.Sum256(d.files[argv[4]])) == argv[5]]
	case argv[0] == wire.Path && argv[2] == "write-file":
		var request struct {
			Path string
			Mode fs.FileMode
		}
		content, err := io.ReadAll(cmd.Stdin)
		if err != nil || json.Unmarshal([]byte(argv[3]), &request) != nil {
			t.Errorf("%q, %v", argv, err)
		}
		d.files[request.Path], d.modes[request.Path] = content, request.Mode
		if filepath.Ext(request.Path) != ".started" {
			d.written = append(d.written, filepath.Base(filepath.Dir(request.Path))+"/"+filepath.Base(request.Path))
		}
		if strings.HasPrefix(request.Path, d.real+"/") {
			if err := os.MkdirAll(filepath.Dir(request.Path), 0o755); err != nil {
				t.Error(err)
			}
			if err := os.WriteFile(request.Path, content, request.Mode); err != nil {
				t.Error(err)
			}
		}
		return `{"changed":true}`, 0
	case argv[0] == wire.Path && argv[2] == "watch-unit":
		return fmt.Sprintf(`{"works":%t}`, d.restarts > 0), 0
	case argv[0] == "systemctl":
		if argv[1] != "restart" {
			return "", 0
		}
		if !d.broken {
			d.restarts++
		}
		return "", code[!d.broken]
	}
	t.Errorf("called %q", argv)
	return "", 1
}

// on is a connection to a disk, which remembers what it was asked.
type on struct {
	*disk
	t     *testing.T
	host  host.Host
	asked []string
}

func (c *on) Host() host.Host { return c.host }
func (c *on) Close() error    { return nil }

func (c *on) Run(ctx context.Context, cmd host.Command) error {
	stdout, code := c.answer(c.t, cmd)
	c.mu.Lock()
	c.asked = append(c.asked, strings.Join(cmd.Argv, " "))
	c.mu.Unlock()
	if code != 0 {
		return &host.ExitError{Host: c.host.String(), Name: cmd.Argv[0], Code: code, Stderr: "as the test wants it"}
	}
	if cmd.Stdout == nil {
		return ctx.Err()
	}
	_, err := io.WriteString(cmd.Stdout, stdout)
	return errors.Join(err, ctx.Err())
}
