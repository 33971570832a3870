package clean

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/store"
)

// ErrNoCluster is returned by a removal when none of the hosts has the cluster.
var ErrNoCluster = errors.New("nothing was removed")

// Prove leaves out of a removal every host whose journal and record do not say that it is of this cluster. Nothing of the cluster's
// directory is read or run before.
type Prove struct {
	*execute.Session
	Store *store.Store
	// Removal gets what was found on the hosts.
	Removal *Removal
}

// Title says what the phase does, for a person.
func (*Prove) Title() string { return "Look for the cluster on the hosts" }

// Run fails with [ErrNoCluster] when none of the hosts has the cluster.
func (p *Prove) Run(ctx context.Context) error {
	surveys := make([]*hostrecord.Survey, len(p.Members))
	failed := make([]error, len(p.Members))
	err := p.Each(ctx, p.Members, func(ctx context.Context, m *execute.Member) error {
		surveys[m.Index], failed[m.Index] = m.Survey(ctx)
		return nil
	})
	if err != nil {
		return err
	}
	id := p.identity(surveys)
	p.Removal.Surveys = map[*execute.Member]*hostrecord.Survey{}
	var without []string
	for i, m := range p.Members {
		s := surveys[i]
		switch {
		case failed[i] != nil:
		case s == nil:
			without = append(without, m.String())
			p.Report.Line(m.String(), fmt.Sprintf("no cluster %s here (no %s), skipped", p.Name, m.Path(hostrecord.JournalFile)))
		default:
			if err := errors.Join(s.Prove(p.Name, id), p.otherCluster(m)); err != nil {
				failed[i] = fmt.Errorf("%s: %w; nothing was removed there", m, err)
				continue
			}
			p.Removal.Surveys[m], m.IsNew = s, false
		}
	}
	return p.keepProven(errors.Join(failed...), without)
}

// otherCluster refuses a host whose kubelet is in another cluster by now.
func (p *Prove) otherCluster(m *execute.Member) error {
	if !p.Store.InOtherCluster(p.Session, m) {
		return nil
	}
	return fmt.Errorf("its kubelet is now in another cluster (API %s); if you do not need that, run kubeadm reset on the host, then the same command again",
		report.OrUnknown(m.Facts.Kubelet.Server))
}

// identity is the ID of the state or, where that was lost, of the first host that knows one, masters first.
func (p *Prove) identity(surveys []*hostrecord.Survey) string {
	if !p.Store.Lost {
		return p.Store.State.ID
	}
	for _, m := range slices.Concat(p.Masters(), p.Nodes()) {
		if s := surveys[m.Index]; s != nil && s.Record != nil {
			return s.Record.ID
		}
	}
	return ""
}

// keepProven goes on with the hosts that are the cluster's. The error of others is the removal's at its end.
func (p *Prove) keepProven(failed error, without []string) error {
	var others []*execute.Member
	p.Members = slices.DeleteFunc(p.Members, func(m *execute.Member) bool {
		if p.Removal.Surveys[m] == nil {
			others = append(others, m)
		}
		return p.Removal.Surveys[m] == nil
	})
	for i, m := range p.Members {
		m.Index = i
	}
	for _, m := range others {
		m.Conn.Close()
	}
	p.Removal.unproven = failed
	switch {
	case len(p.Members) > 0:
		return nil
	case failed != nil:
		return failed
	}
	return fmt.Errorf("no cluster %s below %s on %s: %w; check the cluster's name and data root", p.Name, p.DataRoot, strings.Join(without, ", "), ErrNoCluster)
}
