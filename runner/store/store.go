// Package store keeps the state of a cluster: it reads the copies on the masters and in a Secret, and writes a change to all of them, merged with
// what another run wrote meanwhile.
package store

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kube"
	"github.com/kubefile/kubefile/runner/state"
)

const (
	// File is the state's, in the cluster's directory on masters.
	File = "state.json"
	// SecretName is that of the Secret with the state, for those who have only kubectl, and namespace is where it is.
	SecretName = "kubefile-state"
	namespace  = "kube-system"
	place      = "the Secret " + namespace + "/" + SecretName
	// saveTries is how often a state is merged with what other runs write to the Secret at the same time.
	saveTries = 5
)

// Store is the state of a cluster, with what is known of its copies.
type Store struct {
	State *state.State
	// Lost says that no master has a state: it is a new one.
	Lost bool
	// Next are the hosts that leave the cluster after this run: what it writes on hosts does not name them.
	Next    []netip.Addr
	stored  string       // fingerprint of the state as it was read or written last
	secret  *kube.Secret // with the state, as it was read or written last; nil when that is not known
	unsaved bool         // a copy of the state is older than ours, or missing
}

// Load reads the state from all masters and from the Secret: one of them may have been away when it was written last, damaged, or changed
// by a run that named other masters. Without any it is a new one, with the ID that the masters' records have.
func (t *Store) Load(ctx context.Context, s *execute.Session) error {
	copies := make([]state.Copy, len(s.Members))
	err := s.Each(ctx, s.Masters(), func(ctx context.Context, m *execute.Member) error {
		data, err := m.Read(ctx, m.Path(File))
		copies[m.Index] = state.Copy{Where: m.String(), Data: data}
		return err
	})
	if err != nil {
		return err
	}
	var all []state.Copy
	for _, m := range s.Masters() {
		if !m.IsNew {
			all = append(all, copies[m.Index])
		}
	}
	t.secret = nil
	if s.Running() {
		if err := t.readSecret(ctx, s); err == nil {
			all = append(all, state.Copy{Where: place, Data: t.secret.Data[File]})
		} else if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	found, err := state.Reconcile(s.Name, all)
	if err != nil {
		return err
	}
	for _, note := range found.Notes {
		s.Report.Printf("warning: %s\n", note)
	}
	t.State, t.stored, t.unsaved = found.State, found.Fingerprint, found.Stale
	if t.Lost = found.State == nil; t.Lost {
		t.State = state.New(s.Name)
	}
	t.adoptID(s)
	return nil
}

// adoptID takes over the ID that the records of the masters have, where the state has none: it is of version 1, or was lost. A node's record
// does not count: it may be of another master's cluster.
func (t *Store) adoptID(s *execute.Session) {
	if !t.Lost && t.State.ID != "" {
		return
	}
	id := state.NewID()
	for _, m := range s.Masters() {
		if m.Owner != nil && m.Owner.Cluster == s.Name {
			id = m.Owner.ID
			break
		}
	}
	t.State.ID, t.unsaved = id, t.unsaved || !t.Lost
}

// Save writes the state, which changed, to the Secret and to all masters that were reached. A run that changed it meanwhile is not
// overwritten: what both say is merged. As long as there is no API that answers, the masters have to do.
func (t *Store) Save(ctx context.Context, s *execute.Session) error {
	data, err := t.State.Next(t.stored)
	if err != nil {
		return err
	}
	t.unsaved = true
	if s.Running() {
		data, err = t.publish(ctx, s, data)
		var exit *host.ExitError
		switch {
		case err == nil:
			t.unsaved = false
		case errors.As(err, &exit):
			s.Report.Line(s.First().String(), fmt.Sprintf("warning: the state could not be written to %s: %s", place, exit.Stderr))
		default:
			return err
		}
	}
	t.stored = state.Fingerprint(data)
	return s.Each(ctx, s.Masters(), func(ctx context.Context, m *execute.Member) error {
		_, err := m.WriteFile(ctx, m.Path(File), 0o600, data)
		return err
	})
}

// publish writes the state to the Secret, and returns it as it was written: merged with what another run wrote meanwhile.
func (t *Store) publish(ctx context.Context, s *execute.Session, data []byte) ([]byte, error) {
	for range saveTries {
		if t.secret == nil {
			if err := t.readSecret(ctx, s); err != nil {
				return data, err
			}
			found, err := state.Reconcile(s.Name, []state.Copy{{Where: "this run", Data: data}, {Where: place, Data: t.secret.Data[File]}})
			if err != nil {
				return data, err
			}
			for _, note := range found.Notes {
				s.Report.Printf("warning: %s\n", note)
			}
			if found.Fingerprint != state.Fingerprint(data) {
				t.State = found.State
				if data, err = t.State.Next(found.Fingerprint); err != nil {
					return data, err
				}
			}
		}
		err := t.writeSecret(ctx, s, data)
		if !errors.Is(err, kube.ErrChanged) {
			return data, err
		}
		t.secret = nil
	}
	return data, fmt.Errorf("other runs changed %s %d times; run the same command again", place, saveTries)
}

// readSecret reads the state that is in the cluster.
func (t *Store) readSecret(ctx context.Context, s *execute.Session) error {
	found, err := s.Kube().Secret(ctx, namespace, SecretName)
	if err == nil {
		t.secret = &found
	}
	return err
}

// writeSecret replaces the Secret that was read, or makes the one that was missing.
func (t *Store) writeSecret(ctx context.Context, s *execute.Session, data []byte) error {
	next := *t.secret
	next.Data = map[string][]byte{File: data}
	version, err := s.Kube().WriteSecret(ctx, next)
	if err == nil {
		next.Metadata.ResourceVersion = version
		t.secret = &next
	}
	return err
}

// SaveWhole is [Store.Save] that fails unless the Secret was written too.
func (t *Store) SaveWhole(ctx context.Context, s *execute.Session) error {
	if err := t.Save(ctx, s); err != nil {
		return err
	}
	if t.unsaved {
		return fmt.Errorf("the masters have the state, but it could not be written to %s; run the same command again when the API answers", place)
	}
	return nil
}

// Incomplete reports whether the state was never written, or not to all of its copies.
func (t *Store) Incomplete() bool { return t.unsaved || t.stored == "" }

// Changed reports whether the state differs from what was read or written last, or not all copies have that.
func (t *Store) Changed() (bool, error) {
	data, err := t.State.Encode()
	return err == nil && (t.unsaved || state.Fingerprint(data) != t.stored), err
}

// Forget makes the state count as never written, in a dry run that does not write it.
func (t *Store) Forget() { t.stored = "" }
