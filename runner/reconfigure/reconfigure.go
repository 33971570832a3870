// Package reconfigure applies other settings of Kubernetes to a cluster that is running. What is there decides what is done, and what may be on hosts
// is in the state before the first of them changes.
package reconfigure

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/health"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kube"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/kubeadm/difference"
	"github.com/kubefile/kubefile/runner/state"
	"github.com/kubefile/kubefile/runner/store"
)

// Phase applies the settings to the API, from which hosts that join have them, then to one master after the other, then to the nodes.
type Phase struct {
	*execute.Session
	Store *store.Store
	// Settings are what has changed, by the time that the phase runs.
	Settings *Settings
	// Kubeadm are the documents that kubeadm is given in this run, and Kubernetes is the cluster's version.
	Kubeadm    *kubeadm.Documents
	Kubernetes string
	// Environment is what programs on a host see.
	Environment func(*execute.Member) environment.Set
	// HealthWait is how long what was started again may take to be healthy; 0: as long as each may take.
	HealthWait time.Duration
}

// Title says what the phase does, for a person.
func (*Phase) Title() string { return "Change the settings of Kubernetes" }

const (
	// SettingsMarker says for which ClusterConfiguration the control plane of a master was configured: what kubeadm makes of it cannot be read back.
	SettingsMarker = "kubeadm-settings.done"
	// ProxyAnnotation is on the pods of kube-proxy, with a digest of the configuration that they were started with.
	ProxyAnnotation = "kubefile/configuration"
	// proxyPatience is how long the pods of kube-proxy may take, and proxyPerNode each of them.
	proxyPatience = 5 * time.Minute
	proxyPerNode  = 20 * time.Second
	// fingerprintLength is that of the digest, in hexadecimal digits.
	fingerprintLength = 32
)

// Run does it, if the settings are known.
func (p *Phase) Run(ctx context.Context) error {
	if !p.Settings.Known() {
		return nil
	}
	if len(p.Settings.Applied) > 0 {
		if err := p.apply(ctx); err != nil {
			return err
		}
	}
	p.noteSettings()
	return nil
}

func (p *Phase) apply(ctx context.Context) error {
	if err := p.recordSettings(ctx); err != nil {
		return err
	}
	config, err := p.configMaps(ctx)
	if err != nil {
		return err
	}
	if err := p.eachMaster(ctx, config); err != nil {
		return err
	}
	if err := p.kubelets(ctx, p.Nodes()); err != nil {
		return err
	}
	return p.proxy(ctx, config.proxy)
}

// recordSettings notes in the state what hosts may have from now on.
func (p *Phase) recordSettings(ctx context.Context) error {
	if len(withoutDocuments(p.Settings.had, p.Settings.target)) < len(p.Settings.had) {
		return nil
	}
	return p.Do(ctx, p.First(), "record the new settings in the cluster's state", func(ctx context.Context) error {
		if p.Store.State.Wanted == nil {
			p.Store.State.Wanted = &state.Wanted{}
		}
		p.Store.State.Wanted.Mixed = append(p.Store.State.Wanted.Mixed, p.Settings.target)
		return p.Store.SaveWhole(ctx, p.Session)
	})
}

// noteSettings notes what the cluster has now, once its hosts have it. Hosts that were not part of the run may have something else.
func (p *Phase) noteSettings() {
	wanted := p.Store.State.Wanted
	if wanted == nil || wanted.Kubeadm == nil && len(p.Settings.Applied) == 0 {
		return // an earlier version made the cluster
	}
	var mixed []kubeadm.Documents
	if p.absent() {
		mixed = withoutDocuments(p.Settings.had, p.Settings.target)
	}
	wanted.Kubeadm, wanted.Mixed = p.Settings.target, nil
	for _, one := range mixed {
		wanted.Mixed = append(wanted.Mixed, one)
	}
}

// absent names the hosts that keep other settings because they are not part of the run, and reports whether there are any.
func (p *Phase) absent() (any bool) {
	for _, other := range p.Store.Staying(p.Session) {
		changes := p.Settings.of(difference.PartKubelet)
		if other.Role == string(host.RoleMaster) {
			changes = append(changes, p.Settings.ofMasters()...)
		}
		if other.In() && (len(changes) > 0 || len(p.Settings.had) > 1) {
			any = true
		}
		if other.In() && len(changes) > 0 {
			p.Report.Line(other.Address.String(), fmt.Sprintf("warning: not part of this run, so it may keep other settings until it is: %s", named(changes)))
		}
	}
	return any
}

// clusterConfig is what the API keeps for the parts of the cluster.
type clusterConfig struct {
	cluster string // ClusterConfiguration
	proxy   string // KubeProxyConfiguration; empty when kubeadm has not installed kube-proxy
}

// configMaps changes what kubeadm keeps in the API, where that differs.
func (p *Phase) configMaps(ctx context.Context) (config clusterConfig, err error) {
	kubelets, err := kubeadm.KubeletConfigMap(p.Kubernetes)
	if err != nil {
		return config, err
	}
	for _, one := range []struct {
		kind, name, key string
		changes         []difference.Change
		into            *string
	}{
		{kubeadm.ClusterKind, "kubeadm-config", "ClusterConfiguration", p.Settings.ofMasters(), &config.cluster},
		{kubeadm.KubeletKind, kubelets, "kubelet", p.Settings.of(difference.PartKubelet), new(string)},
		{kubeadm.ProxyKind, "kube-proxy", "config.conf", p.Settings.of(difference.PartProxy), &config.proxy},
	} {
		if len(one.changes) == 0 {
			continue
		}
		kept, err := p.Kube().ConfigMap(ctx, health.SystemNamespace, one.name)
		if err != nil {
			return config, err
		}
		if kept == nil && one.kind == kubeadm.ProxyKind {
			continue // as with skipPhases
		}
		if kept == nil || kept.Data[one.key] == "" {
			return config, fmt.Errorf("ConfigMap %s/%s has no %s: kubeadm did not create this cluster, or it was removed", health.SystemNamespace, one.name, one.key)
		}
		if *one.into, err = p.configMap(ctx, kept, one.kind, one.key, one.changes); err != nil {
			return config, err
		}
	}
	return config, nil
}

// configMap changes one text of a ConfigMap, and returns it.
func (p *Phase) configMap(ctx context.Context, kept *kube.ConfigMap, kind, key string, changes []difference.Change) (string, error) {
	text := kept.Data[key]
	patched, err := difference.PatchText([]byte(text), changes, p.Settings.wanted, p.Kubernetes, kind)
	if err != nil {
		return "", fmt.Errorf("ConfigMap %s/%s: %w", kept.Namespace, kept.Name, err)
	}
	if patched == nil {
		return text, nil
	}
	what := fmt.Sprintf("update ConfigMap %s/%s: %s", kept.Namespace, kept.Name, named(changes))
	return string(patched), p.Do(ctx, p.First(), what, func(ctx context.Context) error {
		return p.Kube().ReplaceConfigMap(ctx, kept, key, string(patched))
	})
}

// proxy starts kube-proxy again on all nodes, one after the other, if it was not started with its configuration.
func (p *Phase) proxy(ctx context.Context, config string) error {
	if config == "" {
		return nil
	}
	want := digest.FromString(config).Encoded()[:fingerprintLength]
	query := `jsonpath={.spec.template.metadata.annotations.` + ProxyAnnotation + `}{"\t"}{.status.desiredNumberScheduled}{"\n"}`
	rows, err := p.Kube().Rows(ctx, 2, "get", "daemonset", "kube-proxy", "--namespace", health.SystemNamespace, "-o", query, "--ignore-not-found")
	if err != nil || len(rows) == 0 || rows[0][0] == want {
		return err
	}
	what := "restart kube-proxy on all nodes with " + named(p.Settings.of(difference.PartProxy))
	return p.Do(ctx, p.First(), what, func(ctx context.Context) error {
		limit := proxyPatience + time.Duration(len(p.Store.State.Hosts))*proxyPerNode
		api := p.First().Kube(limit + time.Minute)
		patch := fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{%q:%q}}}}}`, ProxyAnnotation, want)
		if _, err := api(ctx, nil, "patch", "daemonset", "kube-proxy", "--namespace", health.SystemNamespace, "--type", "merge", "--patch", patch); err != nil {
			return err
		}
		_, err := api(ctx, nil, "rollout", "status", "daemonset/kube-proxy", "--namespace", health.SystemNamespace, "--timeout", limit.String())
		return err
	})
}

// batch is how many nodes are disturbed at once, of so many: a tenth.
func batch(nodes int) int { return min(max(1, nodes/10), execute.MaxHosts) }

// kubelets starts the kubelets of hosts again whose settings differ, some at a time. A batch that fails is the last.
func (p *Phase) kubelets(ctx context.Context, members []*execute.Member) error {
	if len(p.Settings.of(difference.PartKubelet)) == 0 {
		return nil
	}
	pending := make([]*kubeletChange, len(p.Members))
	err := p.Each(ctx, members, func(ctx context.Context, m *execute.Member) (err error) {
		if m.Joined {
			pending[m.Index], err = p.kubeletChange(ctx, m)
		}
		return err
	})
	if err != nil {
		return err
	}
	due := slices.DeleteFunc(slices.Clone(members), func(m *execute.Member) bool { return pending[m.Index] == nil })
	for some := range slices.Chunk(due, batch(len(members))) {
		err := p.Each(ctx, some, func(ctx context.Context, m *execute.Member) error { return p.changeKubelet(ctx, m, pending[m.Index]) })
		if err != nil {
			return err
		}
	}
	return nil
}

// replaceFile replaces a file of kubeadm's, which is not in the journal: a removal does not bring it back.
func replaceFile(ctx context.Context, s *execute.Session, m *execute.Member, path, mode string, content []byte) error {
	return s.Exec(ctx, m, host.Command{Argv: []string{"sh", "-c", replaceScript, "sh", path, mode, fmt.Sprint(len(content))}, Dir: "/",
		Stdin: bytes.NewReader(content), Limit: execute.ScriptLimit})
}
