package phase

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kubefile/kubefile/runner/deliver"
	"github.com/kubefile/kubefile/runner/leave"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/state"
)

// remember reads what the masters know of the cluster, so that later phases know what has been done.
type remember struct{ *Cluster }

func (*remember) Title() string { return "Read the cluster's state" }

func (p *remember) Run(ctx context.Context) error {
	if err := p.ReadFiles(ctx, comparedFiles); err != nil {
		return err
	}
	if err := p.recall(ctx); err != nil {
		return err
	}
	p.nameEmpty()
	if err := errors.Join(p.mismatches()...); err != nil {
		return err
	}
	if err := p.membership().Check(ctx); err != nil {
		return err
	}
	if first := p.First(); first.Joined { // for the whole run, also when one that was named before it joins again
		p.Lead = first
	}
	if err := leave.TakeBack(ctx, &p.Session, p.State); err != nil {
		return err
	}
	if err := p.membership().CheckNodes(); err != nil {
		return err
	}
	if err := p.membership().CheckNewcomers(ctx); err != nil {
		return fmt.Errorf("nothing was changed:\n%w", err)
	}
	p.sayAbsent()
	if p.State.Digest != "" && p.State.Digest != p.Artifact.Digest {
		p.Report.Line(p.First().String(), fmt.Sprintf("the cluster was made from %s (%s)", p.State.Image, p.State.Digest))
	}
	if p.State.KubernetesVersion != "" && p.State.KubernetesVersion != p.Artifact.Description.KubernetesVersion {
		return fmt.Errorf("the cluster has Kubernetes %s and %s has %s: upgrades are not supported yet; use an image with the cluster's Kubernetes",
			p.State.KubernetesVersion, p.Artifact.Name, p.Artifact.Description.KubernetesVersion)
	}
	if p.FindApp == nil {
		return nil
	}
	var err error
	p.LackedApps, err = deliver.LackedApps(ctx, &p.Session, p.State.Apps, p.FindApp)
	return err
}

// mismatches are the hosts that were given otherwise than the cluster knows them.
func (p *remember) mismatches() (wrong []error) {
	for _, known := range p.State.Hosts {
		for _, m := range p.Members {
			switch same := m.Host.Address == known.Address; {
			case same && string(m.Host.Role) != known.Role && (known.In() || m.Joined):
				wrong = append(wrong, fmt.Errorf("%s is already a %s in this cluster and cannot be added as a %s", m, known.Role, m.Host.Role))
			case same && p.GivenName(m, p.Site.Plugins) != "" && p.GivenName(m, p.Site.Plugins) != known.Name && !m.IsEmpty():
				wrong = append(wrong, fmt.Errorf("%s is %s in the cluster, and a plugin names it %s: a node cannot be renamed", m, known.Name, p.GivenName(m, p.Site.Plugins)))
			case !same && m.Name == known.Name:
				wrong = append(wrong, fmt.Errorf("%s is named %s, as is %s of the cluster: rename it (hostnamectl hostname NAME, or a HOSTNAME plugin)",
					m, m.Name, known.Address))
			}
		}
	}
	return wrong
}

// sayAbsent names the hosts of the cluster that were not given: nothing is done to them, and a host does not leave a cluster by being left
// out, but where that is asked for.
func (p *remember) sayAbsent() {
	for _, list := range []struct {
		title string
		hosts []state.Host
	}{
		{"not named, and left in the cluster as they are", p.Staying(&p.Session)},
		{"not in the Clusterfile, and removed from the cluster after this", slices.DeleteFunc(p.Others(&p.Session), func(h state.Host) bool { return !slices.Contains(p.Next, h.Address) })},
	} {
		p.sayHosts(list.title, list.hosts)
	}
}

func (p *remember) sayHosts(title string, hosts []state.Host) {
	var names []string
	for _, other := range hosts {
		what := other.Role
		if other.Leaves() {
			what += ", whose removal was interrupted"
		}
		names = append(names, fmt.Sprintf("%s (%s, %s)", other.Address, other.Name, what))
	}
	if len(names) == 0 {
		return
	}
	p.Report.Printf("%s: %s\n", title, report.Names(names, report.ManyHosts))
}

// nameEmpty gives hosts that come back empty the names that they have now: they become new nodes.
func (p *remember) nameEmpty() {
	for _, m := range p.Members {
		if m.IsEmpty() {
			m.Name = p.OwnName(m, p.Site.Plugins)
		}
	}
}
