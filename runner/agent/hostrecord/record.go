// Package hostrecord is what a host remembers of a cluster: the record of which cluster it is, the journal of what was made for it, and the lines
// that the cluster has in files of others. Both ends read it; only the agent writes it.
package hostrecord

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/kubefile/kubefile/runner/agent/wire"
)

// RecordFile is the file in the cluster's directory that holds the host's [Record].
const RecordFile = "record.json"

// What a run begins on a host, see [BeginRequest].
const (
	BegunInstall     = "install"
	BegunKubeadmInit = "kubeadm-init"
	BegunKubeadmJoin = "kubeadm-join"
)

// Record specifies which cluster a host was prepared for and what was begun on it. It is written before the change that it names, so that
// only a host whose record names a change is ever cleaned of it.
type Record struct {
	Version int      `json:"version"`
	Cluster string   `json:"cluster"`
	ID      string   `json:"id"` // of the cluster
	Begun   []string `json:"begun"`
}

// RecordVersion is written, and no other is read.
const RecordVersion = 1

// HasBegun reports whether the record names the change.
func (r *Record) HasBegun(what string) bool { return r != nil && slices.Contains(r.Begun, what) }

// Of reports whether the record is the cluster's.
func (r *Record) Of(cluster, id string) bool {
	return r != nil && r.Cluster == cluster && r.ID == id
}

// OtherClusterError is returned for a host whose record names another cluster.
type OtherClusterError struct {
	Host string
	Dir  string
	Have Record
}

func (e *OtherClusterError) Error() string {
	return fmt.Sprintf("%s: %s belongs to another cluster (name %q, ID %q)", e.Host, e.Dir, e.Have.Cluster, e.Have.ID)
}

// ParseRecord reads the content of [RecordFile].
func ParseRecord(data []byte) (*Record, error) {
	var r Record
	if err := json.Unmarshal(bytes.TrimSpace(data), &r); err != nil {
		return nil, fmt.Errorf("%w: damaged record: %w", wire.ErrDamaged, err)
	}
	if r.Version != RecordVersion {
		return nil, fmt.Errorf("%w: unknown record version %d; use the sealer-run that made the cluster, or a newer one", wire.ErrInvalid, r.Version)
	}
	if r.Cluster == "" || r.ID == "" {
		return nil, fmt.Errorf("%w: the record has no cluster name or ID", wire.ErrDamaged)
	}
	return &r, nil
}

// BeginRequest notes, before it happens, that What is begun on the host for a cluster.
type BeginRequest struct {
	Dir     string `json:"dir"`
	Cluster string `json:"cluster"`
	ID      string `json:"id"`
	What    string `json:"what"`
}

// BeginAnswer has the record as it is now: of another cluster, it is not changed.
type BeginAnswer struct {
	Record Record `json:"record"`
}
