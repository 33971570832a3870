package execute

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kube"
	"github.com/kubefile/kubefile/runner/plugin"
)

// Labels are those that the node gets from kubeadm or from the site. Masters have the label that Kubernetes called them by until 1.24,
// too: selectors of older manifests and plugins mean it.
func (m *Member) Labels() map[string]string {
	labels := map[string]string{"kubernetes.io/hostname": m.Name}
	if m.IsMaster() {
		labels[kube.ControlPlaneLabel], labels[kube.RoleLabel+string(host.RoleMaster)] = "", ""
	}
	for _, role := range m.Site.Roles {
		labels[kube.RoleLabel+role] = ""
	}
	maps.Copy(labels, m.Site.Labels)
	return labels
}

// LabelChanges are the labels that are the site's to give.
func (m *Member) LabelChanges() []plugin.LabelChange {
	labels := m.Labels()
	delete(labels, "kubernetes.io/hostname")
	delete(labels, kube.ControlPlaneLabel)
	var changes []plugin.LabelChange
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		changes = append(changes, plugin.LabelChange{Key: key, Value: labels[key]})
	}
	return changes
}

// PluginHost is a host as plugins select it.
func (s *Session) PluginHost(m *Member) plugin.Host {
	return plugin.Host{
		Address: m.Host.Address,
		Roles:   append([]string{string(m.Host.Role)}, m.Site.Roles...),
		First:   m.IsMaster() && m == s.First(),
		Labels:  m.Labels(),
	}
}

// GivenName is the name that a HOSTNAME plugin gives a host, or nothing.
func (s *Session) GivenName(m *Member, plugins []plugin.Plugin) string {
	for _, one := range plugins {
		if one.Type != plugin.Hostname || !one.On.Selects(s.PluginHost(m)) {
			continue
		}
		names, err := one.Hostnames() // the check of the plugins reports what is wrong with it
		if name := names[m.Host.Address]; err == nil && name != "" {
			return name
		}
	}
	return ""
}

// OwnName is the name that a host has, or that one of the plugins gives it, as Kubernetes writes it.
func (s *Session) OwnName(m *Member, plugins []plugin.Plugin) string {
	return strings.ToLower(cmp.Or(s.GivenName(m, plugins), m.Facts.Hostname))
}
