package phase

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/check"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kube"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/reach"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/state"
)

// preflight reaches all hosts at once, and reports everything that is wrong with any of them before one is changed.
type preflight struct{ *Cluster }

func (*preflight) Title() string { return "Run preflight checks" }

func (p *preflight) Run(ctx context.Context) error {
	findings, err := CheckHosts(ctx, p.Cluster)
	if err != nil {
		return err
	}
	var failed []error
	for _, f := range findings {
		if f.Severity == check.Error {
			failed = append(failed, errors.New(f.Text()))
		}
	}
	for _, warning := range warnings(findings) {
		p.Report.Printf("  %s\n", warning)
	}
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("nothing has been changed yet:\n%w\nthe names in parentheses are checks, each with a page below %s", err, check.Pages)
	}
	return nil
}

// warnings are lines for a person. What is the same on many hosts is one line.
func warnings(findings []check.Finding) (lines []string) {
	hosts := map[string][]string{}
	var texts []string
	for _, f := range findings {
		if f.Severity != check.Warning {
			continue
		}
		host := f.Host
		f.Host = ""
		if len(hosts[f.Text()]) == 0 {
			texts = append(texts, f.Text())
		}
		hosts[f.Text()] = append(hosts[f.Text()], host)
	}
	for _, text := range texts {
		on := report.Names(hosts[text], report.FewHosts)
		if on != "" {
			on += ": "
		}
		lines = append(lines, on+"warning: "+text)
	}
	return lines
}

// CheckHosts reaches all hosts at once and returns what is wrong with any of them, and with all of them together. It changes nothing.
func CheckHosts(ctx context.Context, c *Cluster) ([]check.Finding, error) {
	site, err := c.inspectHosts(ctx)
	if err != nil {
		return nil, err
	}
	return check.Run(site), nil
}

// inspectHosts reaches all hosts at once and returns the site as the checks see it. It changes nothing.
func (c *Cluster) inspectHosts(ctx context.Context) (*check.Site, error) {
	reports := host.Connect(ctx, c.Dialer, c.Logins(), c.DataRoot, reach.Question(&c.Session))
	answers := map[*execute.Member][]byte{}
	for _, r := range reports {
		if r.Err == nil {
			answers[c.Add(&c.Session, r)] = r.Also
		}
	}
	failed := make([]error, len(c.Members))
	c.Each(ctx, c.Members, func(ctx context.Context, m *execute.Member) error {
		failed[m.Index] = m.Look(ctx, answers[m])
		return nil
	})
	site := c.checked(ctx, reports, failed)
	c.tryPaths(ctx, site)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return site, nil
}

// checked is the site as the checks see it.
func (c *Cluster) checked(ctx context.Context, reports []host.Report, failed []error) *check.Site {
	s := &check.Site{
		Architecture: c.Artifact.Description.Platform.Architecture, Kubernetes: c.Artifact.Description.KubernetesVersion,
		DataRoot: c.DataRoot, ClusterDir: c.Dir(), RegistryPort: c.Registry.WithDefaults().Port,
	}
	for _, layer := range c.Artifact.RootfsLayers {
		s.RootfsBytes += uint64(layer.Descriptor.Size)
	}
	for _, layer := range c.Artifact.ImageLayers {
		s.ImageBytes += uint64(layer.Descriptor.Size)
	}
	for _, r := range reports {
		h := check.Host{Report: r}
		if m := c.Member(r.Host.String()); r.Err == nil && m != nil && failed[m.Index] != nil {
			h.Err, h.Facts = failed[m.Index], nil
		} else if r.Err == nil && m != nil {
			// What kubeadm makes is ours only once it has begun.
			h.Name, h.Ours, h.Begun = c.given(m), !m.IsNew, m.Begun() || m.Marker != ""
			h.TakesPods = c.untaints(m)
			if m.Strange {
				h.Foreign = m.Dir
			}
		}
		s.Hosts = append(s.Hosts, h)
	}
	c.readConfiguration(ctx, s)
	return s
}

// readConfiguration adds what the documents of kubeadm say, as far as they can be read this early: what is wrong with them is an error of adapt.
func (c *Cluster) readConfiguration(ctx context.Context, s *check.Site) {
	docs := c.Site.Kubeadm
	if len(c.Members) > 0 && c.Artifact.Description.Kind == imagespec.KindCluster && len(c.Masters()) > 0 {
		if draft, err := c.draftConfiguration(ctx); err == nil {
			docs = draft
		}
	}
	if docs == nil {
		return
	}
	s.PodNetworks = kubeadm.Prefixes(docs.PodSubnet())
	s.ServiceNetworks = kubeadm.Prefixes(docs.ServiceSubnet())
	s.ProxyMode, _ = docs["KubeProxyConfiguration"]["mode"].(string)
	failSwapOn, set := docs["KubeletConfiguration"]["failSwapOn"].(bool)
	s.SwapAllowed = set && !failSwapOn
	failCgroupV1, set := docs["KubeletConfiguration"]["failCgroupV1"].(bool)
	s.CgroupV1Allowed = set && !failCgroupV1
	first, others := docs.MastersTakePods()
	for i := range s.Hosts {
		if i == 0 && first || i > 0 && others {
			s.Hosts[i].TakesPods = true
		}
	}
}

// untaints reports whether the Clusterfile or one of its plugins removes the taint that kubeadm gives a master.
func (c *Cluster) untaints(m *execute.Member) bool {
	changes := slices.Clone(m.Site.Taints)
	for _, one := range c.Site.Plugins {
		if one.Type == plugin.Taint {
			ofHosts, _ := one.Taints() // the phase that reads plugins reports the error
			changes = append(changes, ofHosts[m.Host.Address]...)
		}
	}
	return slices.ContainsFunc(changes, func(t plugin.TaintChange) bool {
		return t.Remove && t.Key == kube.ControlPlaneLabel && (t.Effect == "" || t.Effect == "NoSchedule")
	})
}

// draftConfiguration returns the documents of kubeadm for a cluster of which nothing is there yet.
func (c *Cluster) draftConfiguration(ctx context.Context) (kubeadm.Documents, error) {
	draft := *c
	draft.State = state.New(c.Name)
	draft.settleNames()
	adapter, err := draft.adapter(ctx)
	if err != nil {
		return nil, err
	}
	c.image.Files = adapter.Files
	return adapter.Documents()
}

// tryPaths has all hosts connect to those that they need.
func (c *Cluster) tryPaths(ctx context.Context, s *check.Site) {
	index, targets := map[netip.Addr]int{}, make([][]netip.AddrPort, len(s.Hosts))
	for i, h := range s.Hosts {
		if h.Facts != nil {
			index[h.Host.Address], targets[i] = i, check.Targets(s, i)
		}
	}
	c.Each(ctx, c.Members, func(ctx context.Context, m *execute.Member) error {
		i, there := index[m.Host.Address]
		if !there {
			return nil
		}
		h := &s.Hosts[i]
		h.Paths, h.Err = host.TryPaths(ctx, m.Conn, targets[i])
		return nil
	})
}
