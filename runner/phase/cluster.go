package phase

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
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

	adminConfig = "/etc/kubernetes/admin.conf"
	// maxHosts is how many hosts are worked on at once.
	maxHosts = 32
	// busy is the exit code of flock(1) for a lock that somebody else has (EX_TEMPFAIL of sysexits.h).
	busy = 75
	// orphanPatience is how long, in seconds, a command waits for one that an interrupted run left running.
	orphanPatience = 900
)

// Cluster is what the phases work on.
type Cluster struct {
	Name     string
	DataRoot string
	Hosts    []host.Host // masters first
	Env      environment.Set
	Registry RegistrySettings
	Artifact *source.Artifact // nil when a cluster is removed
	Dialer   *host.Dialer
	Report   *Report
	DryRun   bool

	members   []*member
	unreached []host.Report
	state     *state.State
	abandon   context.CancelCauseFunc // ends the work that is under way
	lockDir   string                  // default /run
}

// member is a host that was reached.
type member struct {
	agent.Client
	facts *host.Facts
	host  host.Host
	index int // place in the list of members
	// isNew says that the host has no agent and none of the cluster's files yet, so that there is nothing to ask it.
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

// change is one thing that is about to happen to one host.
type change struct {
	member *member
	what   string
}

// Do is the only way to change a host: a dry run prints what and does not call work.
func (c *Cluster) Do(ctx context.Context, m *member, what string, work func(context.Context) error) error {
	if err := c.doTogether(ctx, []change{{m, what}}, work); err != nil {
		return fmt.Errorf("%s: %s: %w", m, what, err)
	}
	return nil
}

// doTogether is [Cluster.Do] for changes to several hosts that are one piece of work.
func (c *Cluster) doTogether(ctx context.Context, changes []change, work func(context.Context) error) error {
	for _, ch := range changes {
		c.Report.action(ch.member, ch.what)
	}
	if c.DryRun || len(changes) == 0 {
		return nil
	}
	return work(ctx)
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

// run runs a command as root, in the rootfs unless it says where, with the host's environment unless it brings one. What it prints goes
// to the log. Such commands run one after the other on a host: what an interrupted run left running ends first.
func (c *Cluster) run(ctx context.Context, m *member, cmd host.Command) error {
	out := c.Report.writer(m)
	defer out.Close()
	cmd.Argv = append([]string{
		"flock", "--close", "--wait", strconv.Itoa(orphanPatience), "--conflict-exit-code", strconv.Itoa(busy), m.path(agent.WorkLock),
	}, cmd.Argv...)
	cmd.Root, cmd.Stdout, cmd.Stderr = true, out, out
	if cmd.Dir == "" {
		cmd.Dir = m.path("rootfs")
	}
	if cmd.Env == nil {
		cmd.Env = c.environment(m)
	}
	err := m.Conn.Run(ctx, cmd)
	var exit *host.ExitError
	switch {
	case !errors.As(err, &exit):
		return err
	case exit.Code == busy && exit.Stderr == "":
		return errors.New("what an interrupted run left running there does not end: look for it with ps, and end it")
	default:
		return fmt.Errorf("exit code %d: %s\n(all it said is in the log)", exit.Code, exit.Stderr)
	}
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
		"REGISTRY_DOMAIN":  c.Registry.domain(),
		"REGISTRY_PORT":    strconv.Itoa(int(c.Registry.port())),
	}
	return environment.Merge(image, own, c.Env).Exported()
}

// finished is the content of a marker of work that does not depend on anything.
const finished = "done"

// marked reports whether a marker, a file in the cluster's directory that says for what a piece of work was done, says content.
func (m *member) marked(ctx context.Context, name, content string) (bool, error) {
	if m.isNew {
		return false, nil
	}
	return m.holds(ctx, "sh", "-c", `test "$(cat "$1" 2>/dev/null)" = "$2"`, "sh", m.path(name), content)
}

// mark writes a marker.
func (m *member) mark(ctx context.Context, name, content string) error {
	_, err := m.WriteFile(ctx, m.path(name), 0o600, []byte(content+"\n"))
	return err
}

// has reports whether a host has a file with just this content.
func (m *member) has(ctx context.Context, name string, content digest.Digest) (bool, error) {
	return m.holds(ctx, "sh", "-c", `echo "$2  $1" | sha256sum -c >/dev/null 2>&1`, "sh", name, content.Encoded())
}
