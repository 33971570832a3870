package unit

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/agent/client"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
)

// disk is a host on which every file has the same content.
type disk struct {
	content string
	argv    string // of all commands
}

func (d *disk) Host() host.Host { return host.Host{} }
func (d *disk) Close() error    { return nil }

func (d *disk) Run(_ context.Context, cmd host.Command) error {
	d.argv += strings.Join(cmd.Argv, " ")
	if cmd.Stdout == nil {
		return nil
	}
	_, err := io.WriteString(cmd.Stdout, d.content)
	return err
}

// A secret is compared where it is known: neither it nor its digest is an argument of a command on the host.
func TestSecretsAreComparedHere(t *testing.T) {
	for content, want := range map[string]bool{"s3cret": true, "other": false} {
		d := &disk{content: content}
		m := &execute.Member{Client: client.Client{Conn: d}}
		f := File{Path: "/etc/key", Mode: SecretMode, Content: []byte("s3cret")}
		if same, err := f.IsOn(t.Context(), m); same != want || err != nil {
			t.Errorf("%s: got %v, %v, want %v", content, same, err, want)
		}
		if strings.Contains(d.argv, "s3cret") || strings.Contains(d.argv, "sha256sum") {
			t.Errorf("ran %s", d.argv)
		}
	}
}

// Units of ours see their files wherever the data root is.
func TestUnitsSeeTheDataRoot(t *testing.T) {
	for dir, want := range map[string]string{
		"/var/lib/sealer/data/default": "true", "/home/sealer/default": "false", "/root/x": "false", "/root": "false", "/homes/x": "true",
	} {
		if got := ProtectHome(dir); got != want {
			t.Errorf("%s: ProtectHome is %s, want %s", dir, got, want)
		}
	}
}
