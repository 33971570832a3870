package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/kubefile/kubefile/runner/host"
)

// RecordFile is the file in the cluster's directory that holds the host's [Record].
const RecordFile = "record.json"

// What a run begins on a host, see [Client.Begin].
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

const recordVersion = 1

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

// Record returns the host's record; nil when there is none. It needs no agent on the host.
func (c Client) Record(ctx context.Context) (*Record, error) {
	data, err := host.Output(ctx, c.Conn, host.Command{
		Argv: []string{"sh", "-c", `[ ! -e "$1" ] || cat "$1"`, "sh", c.Dir + "/" + RecordFile},
		Root: true, ReadOnly: true,
	})
	if err != nil {
		return nil, fmt.Errorf("reading the host's record: %w", err)
	}
	return c.ParseRecord(data)
}

// ParseRecord reads the content of the host's record; nil when there is none.
func (c Client) ParseRecord(data []byte) (*Record, error) {
	if len(data) == 0 {
		return nil, nil
	}
	r, err := parseRecord(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %s/%s: %w", c.Conn.Host(), c.Dir, RecordFile, err)
	}
	return r, nil
}

// Begin records, before it happens, that what is begun on the host for a cluster. It survives a power cut once Begin has returned. A host
// whose record names another cluster gets an [*OtherClusterError]. The agent has to be installed.
func (c Client) Begin(ctx context.Context, cluster, id, what string) error {
	var answer beginAnswer
	request := beginRequest{Dir: c.Dir, Cluster: cluster, ID: id, What: what}
	if err := c.call(ctx, c.agent(), verbBegin, request, nil, &answer); err != nil {
		return fmt.Errorf("recording %s: %w", what, err)
	}
	if !answer.Record.Of(cluster, id) {
		return &OtherClusterError{Host: c.Conn.Host().String(), Dir: c.Dir, Have: answer.Record}
	}
	return nil
}

type beginRequest struct {
	Dir     string `json:"dir"`
	Cluster string `json:"cluster"`
	ID      string `json:"id"`
	What    string `json:"what"`
}

// beginAnswer has the record as it is now: of another cluster, it is not changed.
type beginAnswer struct {
	Record Record `json:"record"`
}

// begin adds to the record.
func begin(r beginRequest) (beginAnswer, error) {
	if r.Cluster == "" || r.ID == "" || r.What == "" {
		return beginAnswer{}, fmt.Errorf("recording %q: %w: the cluster's name or ID is missing", r.What, ErrInvalid)
	}
	j, err := openJournal(r.Dir) // for its lock
	if err != nil {
		return beginAnswer{}, err
	}
	defer j.Close()
	record, err := readRecord(j.root)
	if err != nil {
		return beginAnswer{}, err
	}
	if record == nil {
		record = &Record{Version: recordVersion, Cluster: r.Cluster, ID: r.ID}
	}
	answer := beginAnswer{Record: *record}
	if !record.Of(r.Cluster, r.ID) || record.HasBegun(r.What) {
		return answer, nil
	}
	record.Begun = append(record.Begun, r.What)
	answer.Record = *record
	return answer, writeJSON(j.root, RecordFile, record)
}

// readRecord returns the record of a cluster's directory; nil when there is none.
func readRecord(root *os.Root) (*Record, error) {
	data, err := readFile(root, RecordFile, maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	record, err := parseRecord(data)
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", root.Name(), RecordFile, err)
	}
	return record, nil
}

func parseRecord(data []byte) (*Record, error) {
	var r Record
	if err := json.Unmarshal(bytes.TrimSpace(data), &r); err != nil {
		return nil, fmt.Errorf("%w: damaged record: %w", ErrDamaged, err)
	}
	if r.Version != recordVersion {
		return nil, fmt.Errorf("%w: unknown record version %d; use the sealer-run that made the cluster, or a newer one", ErrInvalid, r.Version)
	}
	if r.Cluster == "" || r.ID == "" {
		return nil, fmt.Errorf("%w: the record has no cluster name or ID", ErrDamaged)
	}
	return &r, nil
}
