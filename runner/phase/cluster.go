package phase

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/kubefile/kubefile/runner/agent"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/state"
)

const (
	// DefaultDataRoot is where a cluster's files are on its hosts, below a directory with the cluster's name.
	DefaultDataRoot = "/var/lib/sealer/data"
	// endpointName is the name by which every host reaches the API.
	endpointName = "apiserver.cluster.local"
	// endpoint is where it is.
	endpoint = endpointName + ":6443"
	// registryDomain and registryPort are what old images' scripts know the cluster's registry by.
	registryDomain = "sea.hub"
	registryPort   = "5000"

	adminConfig = "/etc/kubernetes/admin.conf"
	// maxHosts is how many hosts are worked on at once.
	maxHosts = 32
)

// Cluster is what the phases work on.
type Cluster struct {
	Name     string
	DataRoot string
	Hosts    []host.Host // masters first
	Env      environment.Set
	Artifact *source.Artifact // nil when a cluster is removed
	Dialer   *host.Dialer
	Report   *Report
	DryRun   bool

	members   []*member
	unreached []host.Report
	state     *state.State
}

// member is a host that was reached.
type member struct {
	agent.Client
	facts *host.Facts
	host  host.Host
	// isNew says that the host has none of the cluster's files yet. In a dry run it has no agent either.
	isNew bool
}

func (m *member) String() string { return m.host.String() }

// name is the host's name in the cluster.
func (m *member) name() string { return strings.ToLower(m.facts.Hostname) }

func (m *member) isMaster() bool { return m.host.Role == host.RoleMaster }

// path is a file in the cluster's directory on the host.
func (m *member) path(elements ...string) string {
	return path.Join(append([]string{m.Dir}, elements...)...)
}

// dir is the cluster's directory on every host.
func (c *Cluster) dir() string { return path.Join(c.DataRoot, c.Name) }

func (c *Cluster) masters() []*member { return c.withRole(host.RoleMaster) }
func (c *Cluster) nodes() []*member   { return c.withRole(host.RoleNode) }

// first is the master that kubeadm init and the commands run on.
func (c *Cluster) first() *member { return c.masters()[0] }

func (c *Cluster) withRole(role host.Role) []*member {
	var with []*member
	for _, m := range c.members {
		if m.host.Role == role {
			with = append(with, m)
		}
	}
	return with
}

// Close ends the connections to all hosts.
func (c *Cluster) Close() error {
	var failed []error
	for _, m := range c.members {
		failed = append(failed, m.Conn.Close())
	}
	return errors.Join(failed...)
}

// Do is the only way to change a host: a dry run prints what and does not call work.
func (c *Cluster) Do(ctx context.Context, m *member, what string, work func(context.Context) error) error {
	c.Report.action(m, what)
	if c.DryRun {
		return nil
	}
	if err := work(ctx); err != nil {
		return fmt.Errorf("%s: %s: %w", m, what, err)
	}
	return nil
}

// each calls work for every member at once and returns all errors.
func (c *Cluster) each(ctx context.Context, members []*member, work func(context.Context, *member) error) error {
	var group errgroup.Group
	group.SetLimit(maxHosts)
	var mu sync.Mutex
	var failed []error
	for _, m := range members {
		group.Go(func() error {
			if err := work(ctx, m); err != nil {
				mu.Lock()
				failed = append(failed, err)
				mu.Unlock()
			}
			return nil
		})
	}
	group.Wait()
	return errors.Join(failed...)
}

// ask runs a command that changes nothing, as root.
func (m *member) ask(ctx context.Context, argv ...string) ([]byte, error) {
	return host.Output(ctx, m.Conn, host.Command{Argv: argv, Root: true})
}

// holds reports whether a command that changes nothing succeeds. An error is for a host that did not answer.
func (m *member) holds(ctx context.Context, argv ...string) (bool, error) {
	err := m.Conn.Run(ctx, host.Command{Argv: argv, Root: true})
	var exit *host.ExitError
	if errors.As(err, &exit) {
		return false, nil
	}
	return err == nil, err
}

// run runs a command as root in the rootfs with the host's environment. What it prints goes to the log.
func (c *Cluster) run(ctx context.Context, m *member, argv ...string) error {
	out := c.Report.writer(m)
	defer out.Close()
	return m.Conn.Run(ctx, host.Command{
		Argv: argv, Env: c.environment(m), Dir: m.path("rootfs"), Root: true, Stdout: out, Stderr: out,
	})
}

// environment is what scripts, templates and commands on a host see: the image's ENV under what the site gave, under what the host is.
func (c *Cluster) environment(m *member) environment.Set {
	var image environment.Set
	if c.Artifact != nil {
		image, _ = environment.Parse(c.Artifact.Description.Env) // a variable that is none has been refused by checkArtifact
	}
	own := environment.Set{
		"KUBEFILE_ROOTFS":  m.path("rootfs"),
		"KUBEFILE_CLUSTER": c.Name,
		"HOST_IP":          m.host.Address.String(),
		"HOST_NAME":        m.name(),
		"HOST_ROLE":        string(m.host.Role),
		"API_ENDPOINT":     endpoint,
		"REGISTRY_DOMAIN":  registryDomain,
		"REGISTRY_PORT":    registryPort,
	}
	return environment.Merge(image, own, c.Env).Exported()
}

// marker is a file in the cluster's directory whose content says for what a piece of work was done.
func (m *member) marked(ctx context.Context, name, content string) (bool, error) {
	if m.isNew {
		return false, nil
	}
	return m.holds(ctx, "sh", "-c", `test "$(cat "$1" 2>/dev/null)" = "$2"`, "sh", m.path(name), content)
}

func (m *member) mark(ctx context.Context, name, content string) error {
	_, err := m.WriteFile(ctx, m.path(name), 0o600, []byte(content+"\n"))
	return err
}

// has reports whether a host has a file with just this content.
func (m *member) has(ctx context.Context, name string, content digest.Digest) (bool, error) {
	return m.holds(ctx, "sh", "-c", `echo "$2  $1" | sha256sum -c >/dev/null 2>&1`, "sh", name, content.Encoded())
}
