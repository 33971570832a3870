package phase

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/fingerprint"
	"github.com/kubefile/kubefile/runner/kubeadm/difference"
	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/reconfigure"
	"github.com/kubefile/kubefile/runner/state"
)

// unapplied refuses, or names, everything that the site wants and that a run does not do to a cluster that is running. It is about the
// cluster's own image; for an application image nothing of it is wanted.
func (p *adaptImage) unapplied(ctx context.Context) error {
	if p.Artifact.Description.Kind != imagespec.KindCluster || !p.Running() {
		return nil
	}
	found, err := (&reconfigure.Comparison{Session: &p.Session, Store: &p.Store, Site: p.Site, Kubeadm: p.kubeadm,
		Kubernetes: p.kubernetesVersion(), Image: p.Artifact.Digest}).Find(ctx)
	if err != nil {
		return err
	}
	p.settings = found
	p.changedApps()
	for _, m := range p.Targets() {
		p.changedHost(m)
	}
	return p.missedPlugins(ctx)
}

// changedApps names the applications that were started and are no longer chosen.
func (p *adaptImage) changedApps() {
	if p.State.Wanted == nil || p.Site.Cluster.AppNames == nil {
		return
	}
	before := p.State.Wanted.Apps
	if before == nil {
		for _, app := range p.Artifact.Description.Apps {
			if app.Role == "" {
				before = append(before, app.Name)
			}
		}
	}
	for _, name := range before {
		if !slices.Contains(p.Site.Cluster.AppNames, name) {
			p.Report.Printf("warning: application %s is no longer chosen; it is not removed and keeps running\n", name)
		}
	}
}

// changedHost names what a node keeps that the site does not give it any more, and a name that changed.
func (p *adaptImage) changedHost(m *execute.Member) {
	known := p.State.Host(m.Host.Address)
	if known == nil || !m.Joined {
		return
	}
	wanted := map[string]bool{}
	for _, label := range m.LabelChanges() {
		wanted[label.Key] = true
	}
	for _, key := range slices.Sorted(maps.Keys(known.Labels)) {
		if !wanted[key] {
			p.Report.Line(m.String(), fmt.Sprintf("warning: the label %s is no longer specified, but the node keeps it; to remove it, run kubectl label node %s %s-", key, m.Name, key))
		}
	}
	var taints []string
	for _, taint := range m.Site.Taints {
		taints = append(taints, taint.String())
	}
	for _, taint := range known.Taints {
		if !slices.Contains(taints, taint) {
			p.Report.Line(m.String(), fmt.Sprintf("warning: the taint %s is no longer specified, but the node keeps it; to remove it, run kubectl taint node %s %s-", taint, m.Name, taint))
		}
	}
	if name := strings.ToLower(m.Facts.Hostname); name != m.Name && p.GivenName(m, p.Site.Plugins) == "" {
		p.Report.Line(m.String(), fmt.Sprintf("warning: the host is now named %s, but its node keeps the name %s", name, m.Name))
	}
}

// missedPlugins names the plugins whose moment is over on hosts that are in the cluster, and that never ran there.
func (p *adaptImage) missedPlugins(ctx context.Context) error {
	for _, action := range []plugin.Action{plugin.PreInit, plugin.PreJoin, plugin.PostJoin} {
		if err := p.runPlugins(action).WarnMissed(ctx); err != nil {
			return err
		}
	}
	return nil
}

// noteWanted notes what the cluster was configured with.
func (c *Cluster) noteWanted() {
	if c.State.Wanted == nil {
		c.State.Wanted = &state.Wanted{} // an earlier version made the cluster: what kubeadm was given is not known
	}
	c.State.Wanted.Apps, c.State.Wanted.Site = c.Site.Cluster.AppNames, fingerprint.Of(c.State.ID, c.Site, c.Env, c.Registry)
}

// noteKubeadm notes what the control plane is being made with.
func (c *Cluster) noteKubeadm() {
	c.State.Wanted = &state.Wanted{Kubeadm: difference.Public(c.kubeadm), Apps: c.Site.Cluster.AppNames, Site: fingerprint.Of(c.State.ID, c.Site, c.Env, c.Registry)}
}
