package phase

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/report"
)

// settings are what a run changes of the configuration of Kubernetes in a cluster that is running.
type settings struct {
	// had are the documents that hosts of the cluster may have, those of the cluster first; without secrets, as is target.
	had []kubeadm.Documents
	// wanted are those of the site, target those that the cluster has afterwards: without what cannot be changed.
	wanted, target kubeadm.Documents
	// applied are the changes to hosts and to the API, from any of had; a field may occur several times.
	applied []kubeadm.Change
}

// newSettings compares what a cluster has with what is wanted. Changes that cannot be applied are returned, with the reason.
func newSettings(had []kubeadm.Documents, wanted kubeadm.Documents) (s *settings, refused map[string]string, changes []kubeadm.Change) {
	s = &settings{had: had, wanted: wanted}
	public, noted := wanted.Public(), []kubeadm.Change{}
	refused = map[string]string{}
	for i, documents := range had {
		for _, change := range documents.Changes(public) {
			part, why := kubeadm.Applies(change.Field)
			if why != "" {
				refused[change.Field] = why
			}
			if i == 0 {
				changes = append(changes, change)
			}
			if i == 0 && part != "" {
				noted = append(noted, change)
			}
			if part != "" && part != kubeadm.PartJoining {
				s.applied = append(s.applied, change)
			}
		}
	}
	s.target = had[0].Patch(noted, public)
	return s, refused, changes
}

// of are the changes that are applied to some parts.
func (s *settings) of(parts ...kubeadm.Part) (changes []kubeadm.Change) {
	for _, change := range s.applied {
		if part, _ := kubeadm.Applies(change.Field); slices.Contains(parts, part) {
			changes = append(changes, change)
		}
	}
	return changes
}

// staticPods are the parts that run on masters, in the order in which they are started again.
func staticPods() []kubeadm.Part {
	return []kubeadm.Part{kubeadm.PartAPIServer, kubeadm.PartControllerManager, kubeadm.PartScheduler}
}

// ofMasters are the changes that only masters get.
func (s *settings) ofMasters() []kubeadm.Change {
	return s.of(append(staticPods(), kubeadm.PartCertificate)...)
}

// key tells the ClusterConfiguration that masters get from others.
func (s *settings) key() string {
	return digest.FromString(encodedDocuments(kubeadm.Documents{kubeadm.ClusterKind: s.target[kubeadm.ClusterKind]})).Encoded()
}

// encodedDocuments are documents as text that is the same for equal ones.
func encodedDocuments(d kubeadm.Documents) string {
	data, err := json.Marshal(d)
	if err != nil {
		panic(err) // maps, lists, texts and numbers can be encoded
	}
	return string(data)
}

// sameDocuments reports whether documents are equal, however their numbers were read.
func sameDocuments(some, others kubeadm.Documents) bool {
	return reflect.DeepEqual(encodedDocuments(some), encodedDocuments(others))
}

// withoutDocuments returns a list of documents without some of them.
func withoutDocuments(list []kubeadm.Documents, some kubeadm.Documents) []kubeadm.Documents {
	return slices.DeleteFunc(slices.Clone(list), func(d kubeadm.Documents) bool { return sameDocuments(d, some) })
}

// maxSetting is how many characters of one change are shown.
const maxSetting = 200

// named lists changes for a person, each field once.
func named(changes []kubeadm.Change) string {
	var names, fields []string
	for _, change := range changes {
		if !slices.Contains(fields, change.Field) {
			fields = append(fields, change.Field)
			names = append(names, report.Cut(host.WithoutControls(change.Short()), maxSetting))
		}
	}
	return report.Names(names, maxNamed)
}

// names are those that the serving certificate has to have after changes, and those that it must not have. kept are not removed.
func certificateNames(changes []kubeadm.Change, kept []string) (wanted, removed []string) {
	for _, change := range changes {
		wanted = append(wanted, change.Wanted()...)
		removed = append(removed, change.Removed()...)
	}
	removed = slices.DeleteFunc(removed, func(name string) bool {
		return containsName(append(slices.Clone(kept), wanted...), name)
	})
	slices.Sort(wanted)
	slices.Sort(removed)
	return slices.Compact(wanted), slices.Compact(removed)
}

// containsName reports whether a name or an address is in a list, however it is written.
func containsName(names []string, name string) bool {
	return slices.ContainsFunc(names, func(one string) bool {
		some, err := netip.ParseAddr(one)
		other, otherErr := netip.ParseAddr(name)
		return strings.EqualFold(one, name) || err == nil && otherErr == nil && some == other
	})
}

// errUnknownSettings says that no master has the documents that the cluster was made with.
var errUnknownSettings = errors.New("no master has " + initConfig)

// knownDocuments are those that hosts of the cluster may have. Of a cluster that an earlier version made, only what its first master was given is
// known.
func (p *adapt) knownDocuments(ctx context.Context) (had []kubeadm.Documents, earlier bool, err error) {
	wanted := p.State.Wanted
	if wanted == nil || wanted.Kubeadm == nil {
		given, err := p.configured(ctx)
		if err != nil {
			return nil, true, err
		}
		if given == nil {
			return nil, true, errUnknownSettings
		}
		now := p.kubeadm.Public()
		known := given.Public().WithoutNames(p.initSite(p.First()).CertSANs).Common(now)
		if now[kubeadm.JoinKind] != nil {
			known[kubeadm.JoinKind] = now[kubeadm.JoinKind]
		}
		had, earlier = append(had, known), true
	} else {
		had = append(had, kubeadm.Noted(wanted.Kubeadm))
	}
	if wanted != nil {
		for _, one := range wanted.Mixed {
			had = append(had, kubeadm.Noted(one))
		}
	}
	return had, earlier, nil
}

// keepsSettings reports whether nothing is said about the settings of Kubernetes: flags alone, with the cluster's own image, take back nothing that a
// Clusterfile has set.
func (p *adapt) keepsSettings() bool {
	return len(p.Site.Kubeadm) == 0 && p.State.Digest == p.Artifact.Digest
}

// changedKubeadm finds out which other documents of kubeadm than those that the cluster has are applied to it. It refuses what the Clusterfile wants
// and cannot be applied, and names what differs for another reason.
func (p *adapt) changedKubeadm(ctx context.Context) error {
	had, earlier, err := p.knownDocuments(ctx)
	if errors.Is(err, errUnknownSettings) {
		p.Report.Printf("warning: %v, so changes to kubeadm's configuration cannot be detected\n", err)
		return nil
	}
	if err != nil {
		return err
	}
	if earlier && len(p.kubeadm.Public()[kubeadm.JoinKind]) > 0 {
		p.Report.Printf("warning: changes to the %s cannot be detected, because an earlier version created this cluster\n", kubeadm.JoinKind)
	}
	wanted := p.kubeadm
	if p.keepsSettings() {
		for _, change := range had[0].Changes(wanted.Public()) {
			p.Report.Printf("warning: %s: the running cluster keeps what it has, because no document of kubeadm is given\n", change)
		}
		wanted = had[0]
	}
	s, cannot, changes := newSettings(had, wanted)
	asked := p.Site.Kubeadm.Public()
	var refused []error
	for _, change := range changes {
		why := cannot[change.Field]
		switch {
		case change.Kind() == kubeadm.JoinKind:
			p.Report.Printf("warning: %s: applies only to hosts that join from now on\n", change)
		case why == "" && p.Joining != nil && asked.Has(change.Field):
			refused = append(refused, fmt.Errorf("%s: does not change when hosts join (have %s, want %s); apply the Clusterfile first", change.Field, orNothing(change.Have), orNothing(change.Want)))
		case why != "" && asked.Has(change.Field):
			refused = append(refused, fmt.Errorf("%s: cannot change on a running cluster (have %s, want %s): %s", change.Field, orNothing(change.Have), orNothing(change.Want), why))
		case why != "" || p.Joining != nil:
			p.Report.Printf("warning: %s: the running cluster keeps what it has\n", change)
		}
	}
	if err := p.Site.Locate(errors.Join(refused...)); err != nil || p.Joining != nil {
		return err
	}
	p.settings = s
	return nil
}
