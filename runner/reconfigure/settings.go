package reconfigure

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/kubeadm/difference"
	"github.com/kubefile/kubefile/runner/report"
)

// Settings are what a run changes of the configuration of Kubernetes in a cluster that is running. In the zero value nothing is known.
type Settings struct {
	// had are the documents that hosts of the cluster may have, those of the cluster first; without secrets, as is target.
	had []kubeadm.Documents
	// wanted are those of the site, target those that the cluster has afterwards: without what cannot be changed.
	wanted, target kubeadm.Documents
	// Applied are the changes to hosts and to the API, from any of had; a field may occur several times.
	Applied []difference.Change
}

// Known reports whether it is known what the cluster has.
func (s *Settings) Known() bool { return len(s.had) > 0 }

// newSettings compares what a cluster has with what is wanted. Changes that cannot be applied are returned, with the reason.
func newSettings(had []kubeadm.Documents, wanted kubeadm.Documents) (s *Settings, refused map[string]string, changes []difference.Change) {
	s = &Settings{had: had, wanted: wanted}
	public, noted := difference.Public(wanted), []difference.Change{}
	refused = map[string]string{}
	for i, documents := range had {
		for _, change := range difference.Between(documents, public) {
			part, why := difference.Applies(change.Field)
			if why != "" {
				refused[change.Field] = why
			}
			if i == 0 {
				changes = append(changes, change)
			}
			if i == 0 && part != "" {
				noted = append(noted, change)
			}
			if part != "" && part != difference.PartJoining {
				s.Applied = append(s.Applied, change)
			}
		}
	}
	s.target = difference.Patch(had[0], noted, public)
	return s, refused, changes
}

// of are the changes that are applied to some parts.
func (s *Settings) of(parts ...difference.Part) (changes []difference.Change) {
	for _, change := range s.Applied {
		if part, _ := difference.Applies(change.Field); slices.Contains(parts, part) {
			changes = append(changes, change)
		}
	}
	return changes
}

// staticPods are the parts that run on masters, in the order in which they are started again.
func staticPods() []difference.Part {
	return []difference.Part{difference.PartAPIServer, difference.PartControllerManager, difference.PartScheduler}
}

// ofMasters are the changes that only masters get.
func (s *Settings) ofMasters() []difference.Change {
	return s.of(append(staticPods(), difference.PartCertificate)...)
}

// key tells the ClusterConfiguration that masters get from others.
func (s *Settings) key() string {
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
func named(changes []difference.Change) string {
	var names, fields []string
	for _, change := range changes {
		if !slices.Contains(fields, change.Field) {
			fields = append(fields, change.Field)
			names = append(names, report.Cut(host.WithoutControls(change.Short()), maxSetting))
		}
	}
	return report.Names(names, report.ManyHosts)
}

// names are those that the serving certificate has to have after changes, and those that it must not have. kept are not removed.
func certificateNames(changes []difference.Change, kept []string) (wanted, removed []string) {
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
