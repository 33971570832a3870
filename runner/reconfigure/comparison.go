package reconfigure

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/kubeadm/difference"
	"github.com/kubefile/kubefile/runner/store"
)

// Comparison compares the documents of kubeadm that a run makes with those that the hosts of a running cluster have.
type Comparison struct {
	*execute.Session
	Store *store.Store
	Site  *clusterfile.Clusterfile
	// Kubeadm are the documents that kubeadm would be given in this run, and Kubernetes is its version.
	Kubeadm    kubeadm.Documents
	Kubernetes string
	// Image is the digest of the cluster image of this run.
	Image digest.Digest
}

// errUnknownSettings says that no master has the documents that the cluster was made with.
var errUnknownSettings = errors.New("no master has " + execute.InitConfig)

// knownDocuments are those that hosts of the cluster may have. Of a cluster that an earlier version made, only what its first master was given is
// known.
func (p *Comparison) knownDocuments(ctx context.Context) (had []kubeadm.Documents, earlier bool, err error) {
	wanted := p.Store.State.Wanted
	if wanted == nil || wanted.Kubeadm == nil {
		given, err := p.Configured(ctx)
		if err != nil {
			return nil, true, err
		}
		if given == nil {
			return nil, true, errUnknownSettings
		}
		now := difference.Public(p.Kubeadm)
		known := difference.Common(difference.WithoutNames(difference.Public(given), p.KubeadmInit(p.First(), p.Kubeadm, p.Kubernetes).CertSANs), now)
		if now[kubeadm.JoinKind] != nil {
			known[kubeadm.JoinKind] = now[kubeadm.JoinKind]
		}
		had, earlier = append(had, known), true
	} else {
		had = append(had, difference.Noted(wanted.Kubeadm))
	}
	if wanted != nil {
		for _, one := range wanted.Mixed {
			had = append(had, difference.Noted(one))
		}
	}
	return had, earlier, nil
}

// keepsSettings reports whether nothing is said about the settings of Kubernetes: flags alone, with the cluster's own image, take back nothing that a
// Clusterfile has set.
func (p *Comparison) keepsSettings() bool {
	return len(p.Site.Kubeadm) == 0 && p.Store.State.Digest == p.Image
}

// Find finds out which other documents of kubeadm than those that the cluster has are applied to it. It refuses what the Clusterfile wants
// and cannot be applied, and names what differs for another reason. Nothing is applied where hosts join.
func (p *Comparison) Find(ctx context.Context) (Settings, error) {
	had, earlier, err := p.knownDocuments(ctx)
	if errors.Is(err, errUnknownSettings) {
		p.Report.Printf("warning: %v, so changes to kubeadm's configuration cannot be detected\n", err)
		return Settings{}, nil
	}
	if err != nil {
		return Settings{}, err
	}
	if earlier && len(difference.Public(p.Kubeadm)[kubeadm.JoinKind]) > 0 {
		p.Report.Printf("warning: changes to the %s cannot be detected, because an earlier version created this cluster\n", kubeadm.JoinKind)
	}
	wanted := p.Kubeadm
	if p.keepsSettings() {
		for _, change := range difference.Between(had[0], difference.Public(wanted)) {
			p.Report.Printf("warning: %s: the running cluster keeps what it has, because no document of kubeadm is given\n", change)
		}
		wanted = had[0]
	}
	s, cannot, changes := newSettings(had, wanted)
	asked := difference.Public(p.Site.Kubeadm)
	var refused []error
	for _, change := range changes {
		why := cannot[change.Field]
		switch {
		case change.Kind() == kubeadm.JoinKind:
			p.Report.Printf("warning: %s: applies only to hosts that join from now on\n", change)
		case why == "" && p.Joining != nil && difference.Has(asked, change.Field):
			refused = append(refused, fmt.Errorf("%s: does not change when hosts join (have %s, want %s); apply the Clusterfile first", change.Field, orNothing(change.Have), orNothing(change.Want)))
		case why != "" && difference.Has(asked, change.Field):
			refused = append(refused, fmt.Errorf("%s: cannot change on a running cluster (have %s, want %s): %s", change.Field, orNothing(change.Have), orNothing(change.Want), why))
		case why != "" || p.Joining != nil:
			p.Report.Printf("warning: %s: the running cluster keeps what it has\n", change)
		}
	}
	if err := p.Site.Locate(errors.Join(refused...)); err != nil || p.Joining != nil {
		return Settings{}, err
	}
	return *s, nil
}

func orNothing(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}
