package phase

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/agent"
)

// ErrNoCluster is returned by a removal when none of the hosts has the cluster.
var ErrNoCluster = errors.New("nothing was removed")

// proof leaves out of a removal every host whose journal and record do not say that it is of this cluster. Nothing of the cluster's
// directory is read or run before.
type proof struct{ *Cluster }

func (*proof) Title() string { return "Look for the cluster on the hosts" }

func (p *proof) Run(ctx context.Context) error {
	surveys := make([]*agent.Survey, len(p.members))
	failed := make([]error, len(p.members))
	err := p.each(ctx, p.members, func(ctx context.Context, m *member) error {
		surveys[m.index], failed[m.index] = m.Survey(ctx)
		return nil
	})
	if err != nil {
		return err
	}
	id := p.identity(surveys)
	var without []string
	for i, m := range p.members {
		s := surveys[i]
		switch {
		case failed[i] != nil:
		case s == nil:
			without = append(without, m.String())
			p.Report.Line(m.String(), fmt.Sprintf("no cluster %s here (no %s), skipped", p.Name, m.path(agent.JournalFile)))
		default:
			if err := errors.Join(s.Prove(p.Name, id), p.otherCluster(m)); err != nil {
				failed[i] = fmt.Errorf("%s: %w; nothing was removed there", m, err)
				continue
			}
			m.survey, m.isNew = s, false
		}
	}
	return p.keepProven(errors.Join(failed...), without)
}

// inOtherCluster reports whether a host's kubelet is in another cluster by now: its API is not on a host of this one, and the CA is not that
// of this cluster's kubelets either.
func (c *Cluster) inOtherCluster(m *member) bool {
	if !m.facts.HasCluster(kubeletConfig) || c.serves(m.facts.Kubelet.Server) {
		return false
	}
	return !slices.ContainsFunc(c.members, func(other *member) bool {
		return m.authority() == other.authority() && c.serves(other.facts.Kubelet.Server)
	})
}

// otherCluster refuses a host whose kubelet is in another cluster by now.
func (p *proof) otherCluster(m *member) error {
	if !p.inOtherCluster(m) {
		return nil
	}
	return fmt.Errorf("its kubelet is now in another cluster (API %s); if you do not need that, run kubeadm reset on the host, then the same command again",
		orUnknown(m.facts.Kubelet.Server))
}

// serves reports whether a URL leads to the API of this cluster.
func (c *Cluster) serves(server string) bool {
	parsed, err := url.Parse(server)
	if err != nil || parsed.Hostname() == "" {
		return true // not known to be another's
	}
	address, err := netip.ParseAddr(parsed.Hostname())
	if err != nil {
		return parsed.Hostname() == endpointName || parsed.Hostname() == "localhost"
	}
	return address.IsLoopback() || slices.Contains(c.addresses(), address)
}

// identity is the ID of the state or, where that was lost, of the first host that knows one, masters first.
func (p *proof) identity(surveys []*agent.Survey) string {
	if !p.stateless {
		return p.state.ID
	}
	for _, m := range slices.Concat(p.masters(), p.nodes()) {
		if s := surveys[m.index]; s != nil && s.Record != nil {
			return s.Record.ID
		}
	}
	return ""
}

// keepProven goes on with the hosts that are the cluster's. The error of others is the removal's at its end.
func (p *proof) keepProven(failed error, without []string) error {
	var others []*member
	p.members = slices.DeleteFunc(p.members, func(m *member) bool {
		if m.survey == nil {
			others = append(others, m)
		}
		return m.survey == nil
	})
	for i, m := range p.members {
		m.index = i
	}
	for _, m := range others {
		m.Conn.Close()
	}
	p.unproven = failed
	switch {
	case len(p.members) > 0:
		return nil
	case failed != nil:
		return failed
	}
	return fmt.Errorf("no cluster %s below %s on %s: %w; check the cluster's name and data root", p.Name, p.DataRoot, strings.Join(without, ", "), ErrNoCluster)
}
