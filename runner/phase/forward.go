package phase

import (
	"context"
	"net/netip"
	"time"

	"github.com/kubefile/kubefile/runner/command"
	"github.com/kubefile/kubefile/runner/deliver"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/fingerprint"
	"github.com/kubefile/kubefile/runner/kube"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/reach"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/state"
)

// What is below has moved to execute, store and report. Each package that leaves this one uses it there.
const (
	DefaultDataRoot = execute.DefaultDataRoot
	DefaultName     = execute.DefaultName
	endpointName    = execute.EndpointName
	endpoint        = execute.Endpoint
	appsDir         = execute.AppsDir
	initConfig      = execute.InitConfig
	etcdManifest    = execute.EtcdManifest
	etcdPatience    = execute.EtcdPatience
	scriptLimit     = execute.ScriptLimit
	maxNamed        = report.ManyHosts

	byItself       = execute.RunScript
	cleanScript    = "scripts/clean.sh"
	hostnamePath   = command.HostnameFile
	unpackedMarker = deliver.UnpackedMarker

	// DefaultCommandLimit is how long a command of an image or a script of a plugin may run.
	DefaultCommandLimit = command.DefaultLimit
)

// oldRuntimes are the container runtimes that older images have a script for: scripts/uninstall-NAME.sh.
var oldRuntimes = [...]string{"containerd", "docker"}

// Host is one host with what the site says of it.
type Host = reach.Host

func (c *Cluster) others() []state.Host                       { return c.Others(&c.Session) }
func (c *Cluster) staying() []state.Host                      { return c.Staying(&c.Session) }
func (c *Cluster) masterAddresses() []netip.Addr              { return c.MasterAddresses(&c.Session) }
func (c *Cluster) addresses() []netip.Addr                    { return c.Addresses(&c.Session) }
func (c *Cluster) checkRecord(m *execute.Member) error        { return c.CheckRecord(&c.Session, m) }
func (c *Cluster) inOtherCluster(m *execute.Member) bool      { return c.InOtherCluster(&c.Session, m) }
func (c *Cluster) foreignNode(m *execute.Member) error        { return m.ErrForeignNode() }
func (c *Cluster) recall(ctx context.Context) error           { return c.Recall(ctx, &c.Session, c.Site.Plugins) }
func (c *Cluster) settleNames()                               { c.SettleNames(&c.Session, c.Site.Plugins) }
func (c *Cluster) given(m *execute.Member) string             { return c.GivenName(m, c.Site.Plugins) }
func (c *Cluster) ownName(m *execute.Member) string           { return c.OwnName(m, c.Site.Plugins) }
func (c *Cluster) enroll(ctx context.Context) error           { return c.Enroll(ctx, &c.Session) }
func (c *Cluster) recordJoined(ctx context.Context) error     { return c.RecordJoined(ctx, &c.Session) }
func (c *Cluster) pluginHost(m *execute.Member) plugin.Host   { return c.PluginHost(m) }
func (c *Cluster) labels(m *execute.Member) map[string]string { return m.Labels() }
func (c *Cluster) kubelet(m *execute.Member) kubeadm.Kubelet  { return m.Kubelet(c.kubeadm) }
func (c *Cluster) stacked() bool                              { return c.Stacked() }
func isEmpty(m *execute.Member) bool                          { return m.IsEmpty() }
func leftOn(m *execute.Member) []string                       { return m.LeftOn() }
func owns(m *execute.Member, n *kube.Node) bool               { return m.Owns(n) }

func (c *Cluster) initSite(m *execute.Member) kubeadm.Init {
	return c.KubeadmInit(m, c.kubeadm, c.Artifact.Description.KubernetesVersion)
}

func (c *Cluster) configured(ctx context.Context) (kubeadm.Documents, error) {
	return c.Configured(ctx)
}

func (c *Cluster) etcdMembers(ctx context.Context) ([]kube.Member, error) { return c.EtcdMembers(ctx) }

func (c *Cluster) removeMember(ctx context.Context, m kube.Member) ([]kube.Member, error) {
	return c.RemoveEtcdMember(ctx, m)
}

func (c *Cluster) renewedLease(ctx context.Context, node string, wait time.Duration) (string, error) {
	return c.RenewedLease(ctx, node, wait)
}

func (c *Cluster) siteFingerprints(id string) map[string]string {
	return fingerprint.Of(id, c.Site, c.Env, c.Registry)
}
