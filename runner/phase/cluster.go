package phase

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/kubefile/kubefile/runner/agent"
	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kube"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/state"
)

const (
	// DefaultDataRoot is where a cluster's files are on its hosts, below a directory with the cluster's name.
	DefaultDataRoot = "/var/lib/sealer/data"
	// DefaultName is the name of a cluster that is given none.
	DefaultName = "default"
	// endpointName is the name by which every host reaches the API.
	endpointName = "apiserver.cluster.local"
	// endpoint is where it is.
	endpoint = endpointName + ":6443"

	adminConfig = "/etc/kubernetes/admin.conf"
	// maxHosts is how many hosts are worked on at once.
	maxHosts = 32
	// busy is the exit code of flock(1) for a lock that is held elsewhere (EX_TEMPFAIL of sysexits.h).
	busy = 75
	// orphanPatience is how long, in seconds, a command waits for one that an interrupted run left running.
	orphanPatience = 900

	// What runs on a host may take so long, with the time that it waits for one that an interrupted run left. kubeadm has limits of its
	// own for all that it waits for, of four or five minutes each.
	kubeadmLimit = 20 * time.Minute
	scriptLimit  = 30 * time.Minute
	// DefaultCommandLimit is how long a command of an image or a script of a plugin may run: it may wait for a whole application.
	DefaultCommandLimit = time.Hour
)

// Cluster is what the phases work on.
type Cluster struct {
	Name     string
	DataRoot string
	Hosts    []Host // masters first
	// Site is what the Clusterfile, or flags in its place, say.
	Site     *clusterfile.Clusterfile
	Env      environment.Set // over all other
	Registry RegistrySettings
	Artifact *source.Artifact // nil when a cluster is removed
	Dialer   *host.Dialer
	Report   *report.Report
	DryRun   bool
	// App is the directory of an application image below the cluster's; empty for the cluster image itself.
	App string
	// Before is what the same dry run would have done before: an application's cluster, which is not there yet.
	Before *Cluster
	// Joining are the hosts that join a running cluster in this run, which prepares no others; nil when it is about all hosts.
	Joining *Joining
	// Next are the hosts that leave the cluster after this run.
	Next Leaving
	// SkipPlugins leaves out the plugins of a removal.
	SkipPlugins bool
	// CommandLimit is how long each command of the image, or script of a plugin, may run; default [DefaultCommandLimit].
	CommandLimit time.Duration

	files     map[string]source.File // of the rootfs, that adapt read
	plugins   []plugin.Plugin
	kubeadm   kubeadm.Documents
	members   []*member
	unreached []host.Report
	state     *state.State
	stored    string                  // fingerprint of the state as it was read or written last
	secret    *kube.Secret            // with the state, as it was read or written last; nil when that is not known
	stateless bool                    // no master has a state
	unsaved   bool                    // a copy of the state is older than ours, or missing
	unproven  error                   // of hosts that a removal left alone, because they are not of the cluster
	uncleaned error                   // what a removal could not do
	unknown   []error                 // nodes of which a removal knows no host
	abandon   context.CancelCauseFunc // ends the work that is under way
	// lead is the master that is asked for everything; nil: the first that has a control plane.
	lead *member
	// dial connects to hosts; nil: by the Dialer.
	dial    func(context.Context, []host.Host) []host.Report
	lockDir string // default /run
	// leaseWait is how long the kubelet of a host that comes back empty is listened for; default leaseWait.
	leaseWait time.Duration
	// etcdWait is how long etcd's members on hosts that have joined may take to answer; default awakePatience.
	etcdWait time.Duration
}

// Host is one host with what the site says of it.
type Host struct {
	Login host.Host
	Site  clusterfile.Host
}

// member is a host that was reached.
type member struct {
	agent.Client              // of the cluster's directory
	image        agent.Client // of the image's own directory: the same, but for an application image
	facts        *host.Facts
	host         host.Host
	site         clusterfile.Host
	index        int    // place in the list of members
	name         string // of the node
	// isNew says that the host has no agent and none of the cluster's files yet, so that there is nothing to ask it.
	isNew bool
	// newAgent says that this run copies, or would copy, another agent to the host than it had.
	newAgent bool
	// absent says the same as isNew of the image's directory.
	absent bool
	// dirty says that a removal could not clean the host.
	dirty bool
	// survey is what a removal found of the cluster on the host.
	survey *agent.Survey
	// joined says that kubeadm has made it a node of the cluster.
	joined bool
	// again says that the host was a node before, and becomes a new one in this run.
	again bool
	// marker names the marker that says so; empty when it is lost.
	marker string
	// resolvConf is the kubelet's, where it is not the host's.
	resolvConf string
	// recorded says that the cluster's state had the host when the run began.
	recorded bool
	// record is what was begun on the host, and for which cluster; nil when there is none.
	record *agent.Record
	// strange says that the cluster's directory is there and was not made by us.
	strange bool
	// unlocked says that the host was locked, and is no longer.
	unlocked atomic.Bool
	// overlay are the files of the rootfs that are the site's, by their path below it.
	overlay map[string]source.File
}

func (m *member) String() string { return m.host.String() }

func (m *member) isMaster() bool { return m.host.Role == host.RoleMaster }

// path is a file in the cluster's directory on the host.
func (m *member) path(elements ...string) string {
	return path.Join(append([]string{m.Dir}, elements...)...)
}

// rootfs is a file in the image's rootfs on the host, or that directory itself.
func (m *member) rootfs(elements ...string) string {
	return path.Join(append([]string{m.image.Dir, "rootfs"}, elements...)...)
}

// program is an executable of the cluster image.
func (m *member) program(name string) string { return m.path("rootfs", "bin", name) }

// dir is the cluster's directory on every host.
func (c *Cluster) dir() string { return path.Join(c.DataRoot, c.Name) }

// imageDir is the directory of the image of this run: the cluster's, or one below it for an application image.
func (c *Cluster) imageDir() string {
	if c.App == "" {
		return c.dir()
	}
	return path.Join(c.dir(), appsDir, c.App)
}

// appsDir is where application images are, below the cluster's directory.
const appsDir = "apps"

func (c *Cluster) masters() []*member { return c.withRole(host.RoleMaster) }
func (c *Cluster) nodes() []*member   { return c.withRole(host.RoleNode) }

// first is the master that kubeadm init and the commands run on. In a cluster that exists it is one that is in it already, or one that has
// a control plane: what we noted of that may be lost.
func (c *Cluster) first() *member {
	if c.lead != nil {
		return c.lead
	}
	masters := c.masters()
	for _, is := range []func(*member) bool{
		func(m *member) bool { return m.joined },
		func(m *member) bool { return !m.isNew && m.kubernetes() },
	} {
		if at := slices.IndexFunc(masters, is); at >= 0 {
			return masters[at]
		}
	}
	return masters[0]
}

// running says that a master was reached that has a control plane.
func (c *Cluster) running() bool {
	return (c.lead != nil || len(c.masters()) > 0) && c.first().joined
}

// masterAddresses are those of all masters of the cluster, whether they were named this time or not, and sorted, so that a file that is
// made of them does not depend on how they were named.
func (c *Cluster) masterAddresses() []netip.Addr {
	var addresses []netip.Addr
	for _, m := range c.masters() {
		addresses = append(addresses, m.host.Address)
	}
	for _, other := range c.staying() {
		if other.Role == string(host.RoleMaster) && other.In() {
			addresses = append(addresses, other.Address)
		}
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	return addresses
}

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
		return m.failure(what, err)
	}
	return nil
}

// doTogether is [Cluster.Do] for changes to several hosts that are one piece of work.
func (c *Cluster) doTogether(ctx context.Context, changes []change, work func(context.Context) error) error {
	for _, ch := range changes {
		c.Report.Record(ch.member.String(), ch.member.index, ch.what)
	}
	if c.DryRun || len(changes) == 0 {
		return nil
	}
	if len(changes) == 1 {
		ctx = host.Doing(ctx, changes[0].what)
	}
	return work(ctx)
}

// each calls work for every member at once and returns all errors.
func (c *Cluster) each(ctx context.Context, members []*member, work func(context.Context, *member) error) error {
	return together(maxHosts, members, func(m *member) error { return work(ctx, m) })
}

// together calls work for all items, so many at a time, and returns all errors in the order of the items.
func together[T any](limit int, items []T, work func(T) error) error {
	failed := make([]error, len(items))
	var group errgroup.Group
	group.SetLimit(limit)
	for i, item := range items {
		group.Go(func() error {
			failed[i] = work(item)
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
// to the log. Such commands run one after the other on a host: what an interrupted run left running ends first. The command has to set its
// limit.
func (c *Cluster) run(ctx context.Context, m *member, cmd host.Command) error {
	return c.runTo(ctx, m, cmd, c.Report.Output(m.String()))
}

// runTo is [Cluster.run] with what is printed going to out, which it closes.
func (c *Cluster) runTo(ctx context.Context, m *member, cmd host.Command, out *report.Output) error {
	defer out.Close()
	cmd.Name, cmd.Shown, cmd.Said = path.Base(cmd.Argv[0]), out.Shown, out.Last
	cmd.Argv = append([]string{
		"flock", "--close", "--wait", strconv.Itoa(orphanPatience), "--conflict-exit-code", strconv.Itoa(busy), m.path(agent.WorkLock),
	}, cmd.Argv...)
	cmd.Root, cmd.Stdout, cmd.Stderr = true, out, out
	if cmd.Dir == "" {
		cmd.Dir = m.rootfs()
	}
	if cmd.Env == nil {
		cmd.Env = c.environment(m).Variables()
	}
	err := m.Conn.Run(ctx, cmd)
	var exit *host.ExitError
	switch {
	case !errors.As(err, &exit):
		return err
	case exit.Code == busy && exit.Stderr == "":
		return errors.New("timed out waiting for a process left by an interrupted run; find it with ps and kill it")
	default:
		return fmt.Errorf("exit code %d: %s\n(all it said is in the log)", exit.Code, exit.Stderr)
	}
}

func (c *Cluster) commandLimit() time.Duration { return cmp.Or(c.CommandLimit, DefaultCommandLimit) }

// finished is the content of a marker of work that does not depend on anything.
const finished = "done"

// marked reports whether a marker, a file in the cluster's directory that says for what a piece of work was done, says content. They are
// compared here: content may be made of secrets, and is in no process list.
func (m *member) marked(ctx context.Context, name, content string) (bool, error) {
	says, err := m.read(ctx, m.path(name))
	return err == nil && len(says) > 0 && string(bytes.TrimSpace(says)) == content, err
}

// mark writes a marker.
func (m *member) mark(ctx context.Context, name, content string) error {
	_, err := m.WriteFile(ctx, m.path(name), 0o600, []byte(content+"\n"))
	return err
}

// ofImage is the member with the image's directory in place of the cluster's.
func (m *member) ofImage() *member {
	return &member{Client: m.image, host: m.host, isNew: m.absent}
}

// read returns a file's content; nothing when it is not there.
func (m *member) read(ctx context.Context, name string) ([]byte, error) {
	if m.isNew {
		return nil, nil
	}
	return m.fetch(ctx, name)
}

// fetch is read for a file that this very run may have written.
func (m *member) fetch(ctx context.Context, name string) ([]byte, error) {
	return m.ask(ctx, "sh", "-c", `[ ! -e "$1" ] || cat "$1"`, "sh", name)
}

// has reports whether a host has a file with just this content.
func (m *member) has(ctx context.Context, name string, content digest.Digest) (bool, error) {
	return m.holds(ctx, "sh", "-c", `echo "$2  $1" | sha256sum -c >/dev/null 2>&1`, "sh", name, content.Encoded())
}
