package preflight

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/check"
	"github.com/kubefile/kubefile/runner/check/checklist"
	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kube"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/reach"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/source"
)

// CheckHosts reaches all hosts at once, and reports everything that is wrong with any of them before one is changed.
type CheckHosts struct {
	*execute.Session
	Inventory *reach.Inventory
	Artifact  *source.Artifact
	Site      *clusterfile.Clusterfile
	// RegistryPort is where the registry of the cluster will listen.
	RegistryPort uint16
	// Draft returns the documents of kubeadm for a cluster of which nothing is there yet. It is called once a master was reached.
	Draft func(context.Context) (kubeadm.Documents, error)
}

// Title says what the phase does, for a person.
func (*CheckHosts) Title() string { return "Run preflight checks" }

// Run does it. An error of any host is an error.
func (p *CheckHosts) Run(ctx context.Context) error {
	site, err := p.Inspect(ctx)
	if err != nil {
		return err
	}
	findings := checklist.Run(site)
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
		on := f.Host
		f.Host = ""
		if len(hosts[f.Text()]) == 0 {
			texts = append(texts, f.Text())
		}
		hosts[f.Text()] = append(hosts[f.Text()], on)
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

// Inspect reaches all hosts at once and returns the site as the checks see it. It changes nothing.
func (p *CheckHosts) Inspect(ctx context.Context) (*check.Site, error) {
	reports := host.Connect(ctx, p.Inventory.LogIn, p.Inventory.Logins(), p.DataRoot, reach.Question(p.Session))
	answers := map[*execute.Member][]byte{}
	for _, r := range reports {
		if r.Err == nil {
			answers[p.Inventory.Add(p.Session, r)] = r.Also
		}
	}
	failed := make([]error, len(p.Members))
	p.Each(ctx, p.Members, func(ctx context.Context, m *execute.Member) error {
		failed[m.Index] = m.Look(ctx, answers[m])
		return nil
	})
	site := p.Observed(ctx, reports, failed)
	p.tryPaths(ctx, site)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return site, nil
}

// Observed is the site as the checks see it, by what was reported of all hosts, and by the error of each that was reached.
func (p *CheckHosts) Observed(ctx context.Context, reports []host.Report, failed []error) *check.Site {
	s := &check.Site{
		Architecture: p.Artifact.Description.Platform.Architecture, Kubernetes: p.Artifact.Description.KubernetesVersion,
		DataRoot: p.DataRoot, ClusterDir: p.Dir(), RegistryPort: p.RegistryPort,
	}
	for _, layer := range p.Artifact.RootfsLayers {
		s.RootfsBytes += uint64(layer.Descriptor.Size)
	}
	for _, layer := range p.Artifact.ImageLayers {
		s.ImageBytes += uint64(layer.Descriptor.Size)
	}
	for _, r := range reports {
		h := check.Host{Report: r}
		if m := p.Member(r.Host.String()); r.Err == nil && m != nil && failed[m.Index] != nil {
			h.Err, h.Facts = failed[m.Index], nil
		} else if r.Err == nil && m != nil {
			// What kubeadm makes is ours only once it has begun.
			h.Name, h.Ours, h.Begun = p.GivenName(m, p.Site.Plugins), !m.IsNew, m.Begun() || m.Marker != ""
			h.TakesPods = p.untaints(m)
			if m.Strange {
				h.Foreign = m.Dir
			}
		}
		s.Hosts = append(s.Hosts, h)
	}
	p.readConfiguration(ctx, s)
	return s
}

// readConfiguration adds what the documents of kubeadm say, as far as they can be read this early: what is wrong with them is an error of adapt.
func (p *CheckHosts) readConfiguration(ctx context.Context, s *check.Site) {
	docs := p.Site.Kubeadm
	if len(p.Members) > 0 && p.Artifact.Description.Kind == imagespec.KindCluster && len(p.Masters()) > 0 {
		if draft, err := p.Draft(ctx); err == nil {
			docs = draft
		}
	}
	if docs != nil {
		Describe(s, docs)
	}
}

// Describe adds to a site what the documents of kubeadm specify.
func Describe(s *check.Site, docs kubeadm.Documents) {
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
func (p *CheckHosts) untaints(m *execute.Member) bool {
	changes := slices.Clone(m.Site.Taints)
	for _, one := range p.Site.Plugins {
		if one.Type == plugin.Taint {
			ofHosts, _ := one.Taints() // the phase that reads plugins reports the error
			changes = append(changes, ofHosts[m.Host.Address]...)
		}
	}
	return slices.ContainsFunc(changes, func(t plugin.TaintChange) bool {
		return t.Remove && t.Key == kube.ControlPlaneLabel && (t.Effect == "" || t.Effect == "NoSchedule")
	})
}

// tryPaths has all hosts connect to those that they need.
func (p *CheckHosts) tryPaths(ctx context.Context, s *check.Site) {
	index, targets := map[netip.Addr]int{}, make([][]netip.AddrPort, len(s.Hosts))
	for i, h := range s.Hosts {
		if h.Facts != nil {
			index[h.Host.Address], targets[i] = i, check.Targets(s, i)
		}
	}
	p.Each(ctx, p.Members, func(ctx context.Context, m *execute.Member) error {
		i, there := index[m.Host.Address]
		if !there {
			return nil
		}
		h := &s.Hosts[i]
		h.Paths, h.Err = host.TryPaths(ctx, m.Conn, targets[i])
		return nil
	})
}
