package state

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

var (
	// ErrDamaged says that there are copies of the state, and that none can be used.
	ErrDamaged = errors.New("no copy of the cluster's state can be used")
	// ErrOtherCluster says that copies of the state are of clusters with different IDs.
	ErrOtherCluster = errors.New("two clusters have this name")
)

// Copy is the state as it was found in one place.
type Copy struct {
	Where string // a master, or the Secret
	Data  []byte // empty when nothing is there
}

// Found is what all copies of the state say together.
type Found struct {
	State *State // nil when there is none
	// Fingerprint is of the copy that State is; empty when it was merged of several.
	Fingerprint string
	// Stale says that a copy is missing, damaged or older.
	Stale bool
	// Notes tell a person about copies that are damaged, and about what was merged.
	Notes []string
}

// maxHistory is how many earlier revisions are remembered.
const maxHistory = 100

// Fingerprint identifies a stored state.
func Fingerprint(data []byte) string {
	sum := sha256.Sum256(bytes.TrimSpace(data))
	return hex.EncodeToString(sum[:8])
}

// parsed is a copy that can be used.
type parsed struct {
	where, fingerprint string
	state              *State
}

// Reconcile finds the state of a cluster in its copies. The newest counts, as long as the others are earlier revisions of it. Copies that
// different runs changed independently are merged, host by host. Copies that cannot be used are named and left out.
func Reconcile(cluster string, copies []Copy) (Found, error) {
	var found Found
	var good []parsed
	var bad []error
	for _, c := range copies {
		if len(bytes.TrimSpace(c.Data)) == 0 {
			found.Stale = true
			continue
		}
		s, err := Parse(c.Data)
		if err == nil && s.Cluster != cluster {
			err = fmt.Errorf("it is of a cluster %q", s.Cluster)
		}
		if err != nil {
			bad = append(bad, fmt.Errorf("%s: %w", c.Where, err))
			continue
		}
		good = append(good, parsed{c.Where, Fingerprint(c.Data), s})
	}
	if len(good) == 0 && len(bad) > 0 {
		return found, fmt.Errorf("%w: %w", ErrDamaged, errors.Join(bad...))
	}
	for _, err := range bad {
		found.Stale = true
		found.Notes = append(found.Notes, fmt.Sprintf("a copy of the cluster's state cannot be used (%v); using that of %s", err, good[0].where))
	}
	if err := oneCluster(good); err != nil || len(good) == 0 {
		return found, err
	}
	// The newest first; of equal revisions, always in the same order.
	slices.SortStableFunc(good, func(a, b parsed) int {
		return cmp.Or(cmp.Compare(b.state.Revision, a.state.Revision), strings.Compare(a.fingerprint, b.fingerprint))
	})
	found.State, found.Fingerprint = good[0].state, good[0].fingerprint
	for _, other := range good[1:] {
		found.add(good[0], other)
	}
	return found, nil
}

// oneCluster refuses copies of clusters with different IDs.
func oneCluster(copies []parsed) error {
	var first *parsed
	for i, c := range copies {
		switch {
		case c.state.ID == "":
		case first == nil:
			first = &copies[i]
		case first.state.ID != c.state.ID:
			return fmt.Errorf("%w: on %s its ID is %s, on %s it is %s; name the hosts of only one of them",
				ErrOtherCluster, first.where, first.state.ID, c.where, c.state.ID)
		}
	}
	return nil
}

// add takes a further copy into account.
func (f *Found) add(newest, other parsed) {
	if other.fingerprint == newest.fingerprint || slices.Contains(f.State.History, other.fingerprint) {
		f.Stale = f.Stale || other.fingerprint != newest.fingerprint
		return
	}
	f.Stale = true
	if len(newest.state.History) == 0 && other.state.Revision < newest.state.Revision {
		return // of version 1, which keeps no history
	}
	gained := f.State.merge(other.state)
	note := fmt.Sprintf("two runs changed the cluster's state independently (%s has revision %d, %s has revision %d): merged",
		newest.where, newest.state.Revision, other.where, other.state.Revision)
	if len(gained) > 0 {
		note += "; hosts that only " + other.where + " had: " + strings.Join(gained, ", ")
	}
	if a, b := f.State.KubernetesVersion, other.state.KubernetesVersion; b != "" && a != b {
		note += fmt.Sprintf("; they have Kubernetes %s and %s, of which the former is used", a, b)
	}
	f.Notes = append(f.Notes, note)
	f.State.History = remember(f.State.History, append(other.state.History, newest.fingerprint, other.fingerprint)...)
	f.Fingerprint = ""
}

// merge takes over what only another state has, and returns the hosts among that.
func (s *State) merge(other *State) (gained []string) {
	s.ID = cmp.Or(s.ID, other.ID)
	s.unknown.merge(other.unknown)
	for _, h := range other.Hosts {
		old := s.Host(h.Address)
		switch {
		case old == nil:
			gained = append(gained, h.Address.String())
			s.Put(h)
		case !old.In() && h.In(), old.Phase == Joined && h.Phase == Complete, h.Leaves() && !old.Leaves():
			old.Phase = h.Phase
		}
	}
	for _, app := range other.Apps {
		if !slices.ContainsFunc(s.Apps, func(a App) bool { return a.Dir == app.Dir }) {
			s.Apps = append(s.Apps, app)
		}
	}
	for _, key := range other.Commands {
		command := key[:min(len(key), commandKeySize)]
		if !slices.ContainsFunc(s.Commands, func(old string) bool { return strings.HasPrefix(old, command) }) {
			s.Commands = append(s.Commands, key)
		}
	}
	if s.Wanted == nil {
		s.Wanted = other.Wanted
	}
	s.KubernetesVersion = cmp.Or(s.KubernetesVersion, other.KubernetesVersion)
	if s.Digest == "" {
		s.Layers = other.Layers
	}
	s.Image, s.Digest = cmp.Or(s.Image, other.Image), cmp.Or(s.Digest, other.Digest)
	return gained
}

// Next makes the state the revision after the one with this fingerprint, if there is one, and returns it as it is stored.
func (s *State) Next(fingerprint string) ([]byte, error) {
	s.Revision++
	if fingerprint != "" {
		s.History = remember(s.History, fingerprint)
	}
	return s.Encode()
}

// remember adds fingerprints to a history.
func remember(history []string, fingerprints ...string) []string {
	for _, f := range fingerprints {
		if !slices.Contains(history, f) {
			history = append(history, f)
		}
	}
	return history[max(0, len(history)-maxHistory):]
}
