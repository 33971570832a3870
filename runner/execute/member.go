package execute

import (
	"bytes"
	"context"
	"errors"
	"path"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/runner/agent/client"
	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/host"
)

// Member is a host of a run, which was reached, with what was seen of it.
type Member struct {
	client.Client               // of the cluster's directory
	Image         client.Client // of the image's own directory: the same, but for an application image
	Facts         *host.Facts
	Host          host.Host
	Site          clusterfile.Host // what the site says of it
	Index         int              // place in the list of members
	Name          string           // of the node
	// IsNew says that the host has no agent and none of the cluster's files yet, so that there is nothing to ask it.
	IsNew bool
	// NewAgent says that this run copies, or would copy, another agent to the host than it had.
	NewAgent bool
	// Absent says the same as IsNew of the image's directory.
	Absent bool
	// Joined says that kubeadm has made it a node of the cluster.
	Joined bool
	// Again says that the host was a node before, and becomes a new one in this run.
	Again bool
	// Marker names the marker that says so; empty when it is lost.
	Marker string
	// ResolvConf is the kubelet's, where it is not the host's.
	ResolvConf string
	// Owner is what was begun on the host, and for which cluster; nil when there is none.
	Owner *hostrecord.Record
	// Strange says that the cluster's directory is there and was not made by us.
	Strange bool
	// seen is what was read of the host; nil when nothing was.
	seen *seen
	// unlocked says that the host was locked, and is no longer.
	unlocked atomic.Bool
}

func (m *Member) String() string { return m.Host.String() }

// IsMaster reports whether the host has a control plane, or gets one.
func (m *Member) IsMaster() bool { return m.Host.Role == host.RoleMaster }

// Path is a file in the cluster's directory on the host.
func (m *Member) Path(elements ...string) string {
	return path.Join(append([]string{m.Dir}, elements...)...)
}

// Rootfs is a file in the image's rootfs on the host, or that directory itself.
func (m *Member) Rootfs(elements ...string) string {
	return path.Join(append([]string{m.Image.Dir, "rootfs"}, elements...)...)
}

// Program is an executable of the cluster image.
func (m *Member) Program(name string) string { return m.Path("rootfs", "bin", name) }

// Ask runs a command that changes nothing, as root.
func (m *Member) Ask(ctx context.Context, argv ...string) ([]byte, error) {
	return host.Output(ctx, m.Conn, host.Command{Argv: argv, Root: true})
}

// Holds reports whether a command that changes nothing succeeds. An error is for a host that did not answer.
func (m *Member) Holds(ctx context.Context, argv ...string) (bool, error) {
	err := m.Conn.Run(ctx, host.Command{Argv: argv, Root: true, ReadOnly: true})
	var exit *host.ExitError
	if errors.As(err, &exit) {
		return false, nil
	}
	return err == nil, err
}

// Finished is the content of a marker of work that does not depend on anything.
const Finished = "done"

// Marked reports whether a marker, a file in the cluster's directory that says for what a piece of work was done, says content. They are
// compared here: content may be made of secrets, and is in no process list.
func (m *Member) Marked(ctx context.Context, name, content string) (bool, error) {
	says, err := m.Read(ctx, m.Path(name))
	return err == nil && len(says) > 0 && string(bytes.TrimSpace(says)) == content, err
}

// Mark writes a marker.
func (m *Member) Mark(ctx context.Context, name, content string) error {
	_, err := m.WriteFile(ctx, m.Path(name), 0o600, []byte(content+"\n"))
	return err
}

// OfImage is the member with the image's directory in place of the cluster's.
func (m *Member) OfImage() *Member {
	return &Member{Client: m.Image, Host: m.Host, IsNew: m.Absent, seen: m.seen}
}

// Read returns a file's content; nothing when it is not there.
func (m *Member) Read(ctx context.Context, name string) ([]byte, error) {
	if m.IsNew {
		return nil, nil
	}
	return m.Fetch(ctx, name)
}

// Fetch is read for a file that this very run may have written.
func (m *Member) Fetch(ctx context.Context, name string) ([]byte, error) {
	if content, known := m.seen.content(name); known {
		return content, nil
	}
	argv := []string{"sh", "-c", `[ ! -e "$1" ] || cat "$1"`, "sh", name}
	return host.Output(ctx, m.Conn, host.Command{Argv: argv, Root: true, ReadOnly: true})
}

// Cat returns the content of a file, which has to be there.
func (m *Member) Cat(ctx context.Context, name string) ([]byte, error) {
	if content, known := m.seen.content(name); known && len(content) > 0 {
		return content, nil
	}
	return host.Output(ctx, m.Conn, host.Command{Argv: []string{"cat", name}, Root: true, ReadOnly: true})
}

// Has reports whether a host has a file with just this content.
func (m *Member) Has(ctx context.Context, name string, content digest.Digest) (bool, error) {
	if sum, known := m.seen.digest(name); known {
		return sum == content, nil
	}
	return m.Holds(ctx, "sh", "-c", `echo "$2  $1" | sha256sum -c >/dev/null 2>&1`, "sh", name, content.Encoded())
}

// HasSecret reports whether a host has a file with just this content, of which not even the digest may be an argument of a command.
func (m *Member) HasSecret(ctx context.Context, name string, content []byte) (bool, error) {
	if sum, known := m.seen.digest(name); known {
		return sum == digest.FromBytes(content), nil
	}
	old, err := m.Read(ctx, name)
	return bytes.Equal(old, content), err
}

// Test is test(1) on a file of a host: -e or -s.
func (m *Member) Test(ctx context.Context, operator, name string) (bool, error) {
	if sum, known := m.seen.digest(name); known {
		return sum != "" && (operator == "-e" || sum != digest.FromBytes(nil)), nil
	}
	return m.Holds(ctx, "test", operator, name)
}

// LoseLock notes that the host is locked by this run no longer.
func (m *Member) LoseLock() { m.unlocked.Store(true) }
