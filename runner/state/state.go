// Package state is what the masters remember of a cluster: which artifact made it, which hosts are in it, and which commands ran. It
// holds no password and no key.
package state

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/imagespec"
)

// The versions of the state's form. The first has no ID, no history and no phases: all of its hosts are complete.
const (
	withoutID = 1
	version   = 2
)

// State is the memory of one cluster.
type State struct {
	Version  int    `json:"version"`
	Revision int    `json:"revision"` // one higher each time that it is written
	Cluster  string `json:"cluster"`
	// ID tells clusters of one name apart. It is made before the first change to any host, and empty in a state of version 1.
	ID string `json:"id,omitempty"`
	// History are the fingerprints of earlier revisions, the newest last: a copy that is not among them was changed by another run.
	History []string      `json:"history,omitempty"`
	Image   string        `json:"image"` // as it was given
	Digest  digest.Digest `json:"digest"`
	// Layers are those of the image and of the one before, as far as they are noted.
	Layers            Images `json:"layers,omitempty"`
	KubernetesVersion string `json:"kubernetesVersion"`
	Hosts             []Host `json:"hosts"`
	// Apps are the application images that came to the cluster, by directory.
	Apps []App `json:"apps,omitempty"`
	// Commands are the commands that have run, see [CommandKey].
	Commands []string `json:"commands"`
	// Wanted is what the cluster was configured with; nil when an earlier version made it.
	Wanted *Wanted `json:"wanted,omitempty"`

	unknown unknown
}

// Wanted is what a cluster was configured with, as far as it cannot be seen on its hosts.
type Wanted struct {
	// Kubeadm are the documents of kubeadm by kind, without secrets.
	Kubeadm map[string]map[string]any `json:"kubeadm,omitempty"`
	// Mixed are other documents that hosts of the cluster may have: of changes that were begun and not completed, or that hosts were not part of.
	Mixed []map[string]map[string]any `json:"kubeadmMixed,omitempty"`
	// Apps are the applications that were chosen; nil for all.
	Apps []string `json:"apps,omitempty"`
	// Site has fingerprints of what the site specified and the state does not hold, by what it is. It is empty where that was nothing, and nil
	// when an earlier version made the cluster.
	Site map[string]string `json:"site,omitzero"`
}

// Phase is how far a host has come into the cluster.
type Phase string

const (
	// Joining is a host that was about to be changed: kubeadm may have begun on it, or not.
	Joining Phase = "joining"
	// Joined is a host that kubeadm has made a node of the cluster.
	Joined Phase = "joined"
	// Complete is a host that was in the cluster when a run ended well.
	Complete Phase = "complete"
	// Leaving is a host that is being taken out of the cluster: what is left of it there, and on the host, is not known.
	Leaving Phase = "leaving"
	// Lost is a host that is being taken out of the cluster, and is gone for good.
	Lost Phase = "lost"
)

// Host is one host of the cluster.
type Host struct {
	Address netip.Addr `json:"address"`
	Name    string     `json:"name"`
	Role    string     `json:"role"` // master or node
	Phase   Phase      `json:"phase,omitempty"`
	// Labels and Taints are those that the site gave its node.
	Labels map[string]string `json:"labels,omitempty"`
	Taints []string          `json:"taints,omitempty"`
}

// In reports whether kubeadm has made the host a node of the cluster. One that leaves is in it until it is removed from the state.
func (h Host) In() bool { return h.Phase != Joining }

// Leaves reports whether a removal of the host has begun, and has not ended.
func (h Host) Leaves() bool { return h.Phase == Leaving || h.Phase == Lost }

// App is an application image on the cluster.
type App struct {
	Dir    string        `json:"dir"`   // below apps/ of the cluster's directory
	Image  string        `json:"image"` // as it was given
	Digest digest.Digest `json:"digest"`
	Layers Images        `json:"layers,omitempty"` // as of the cluster's image
}

// New returns the state of a cluster that has nothing yet, with an ID of its own.
func New(cluster string) *State {
	return &State{Version: version, Cluster: cluster, ID: NewID()}
}

// NewID returns an ID for a cluster.
func NewID() string { return uuid.NewString() }

// Parse reads a state of either version. Fields that a newer program wrote are kept for [State.Encode].
func Parse(data []byte) (*State, error) {
	var s State
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("reading the cluster's state: %w", err)
	}
	var err error
	if s.unknown, err = readUnknown(data); err != nil {
		return nil, fmt.Errorf("reading the cluster's state: %w", err)
	}
	switch {
	case s.Version == withoutID && s.ID == "":
		for i := range s.Hosts {
			s.Hosts[i].Phase = cmp.Or(s.Hosts[i].Phase, Complete)
		}
	case s.Version != version:
		return nil, fmt.Errorf("reading the cluster's state: version %d is not supported (supported are %d and %d); use the sealer-run that came with the newest image of the cluster",
			s.Version, withoutID, version)
	case s.ID == "":
		return nil, fmt.Errorf("reading the cluster's state: version %d without the ID of a cluster", s.Version)
	}
	return &s, nil
}

// Encode returns the state as it is stored.
func (s *State) Encode() ([]byte, error) {
	if s.ID != "" {
		s.Version = version
	}
	data, err := json.MarshalIndent(s, "", "  ")
	if err == nil {
		data, err = s.unknown.encode(s, data)
	}
	if err != nil {
		return nil, fmt.Errorf("writing the cluster's state: %w", err)
	}
	return append(data, '\n'), nil
}

// Host returns the host with an address, or nil.
func (s *State) Host(address netip.Addr) *Host {
	i := slices.IndexFunc(s.Hosts, func(h Host) bool { return h.Address == address })
	if i < 0 {
		return nil
	}
	return &s.Hosts[i]
}

// Complete reports whether a host was in the cluster when a run was complete last.
func (s *State) Complete(address netip.Addr) bool {
	h := s.Host(address)
	return h != nil && h.Phase == Complete
}

// Put adds a host, or replaces the one with its address.
func (s *State) Put(h Host) {
	if old := s.Host(h.Address); old != nil {
		*old = h
	} else {
		s.Hosts = append(s.Hosts, h)
	}
	slices.SortFunc(s.Hosts, func(a, b Host) int { return cmp.Or(cmp.Compare(a.Role, b.Role), a.Address.Compare(b.Address)) })
}

// Remove takes the host with an address out, and reports whether it was there.
func (s *State) Remove(address netip.Addr) bool {
	before := len(s.Hosts)
	s.Hosts = slices.DeleteFunc(s.Hosts, func(h Host) bool { return h.Address == address })
	return len(s.Hosts) < before
}

// CommandKey identifies a command of an artifact, the nth of those that are equal: that of another artifact runs again, and one that
// only changed its place does not.
func CommandKey(artifact digest.Digest, n int, command imagespec.Command) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%s\x00%q", artifact, n, command.Shell, command.Exec))
	return hex.EncodeToString(sum[:commandKeySize/2])
}

// commandKeySize is the length of what [CommandKey] returns.
const commandKeySize = 32

// Record says that a command has run. What it ran with before, of the same artifact and command, is forgotten: when a site goes back to
// that, it runs again. A key is what [CommandKey] returns, and after it what the site gave the command.
func (s *State) Record(key string) {
	command := key[:min(len(key), commandKeySize)]
	s.Commands = slices.DeleteFunc(s.Commands, func(old string) bool { return strings.HasPrefix(old, command) })
	s.Commands = append(s.Commands, key)
}

// Ran reports whether a command has run.
func (s *State) Ran(key string) bool { return slices.Contains(s.Commands, key) }
