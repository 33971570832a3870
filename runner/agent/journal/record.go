package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/kubefile/kubefile/runner/agent/clusterdir"
	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/agent/wire"
)

// Begin adds to the record.
func Begin(r hostrecord.BeginRequest) (hostrecord.BeginAnswer, error) {
	if r.Cluster == "" || r.ID == "" || r.What == "" {
		return hostrecord.BeginAnswer{}, fmt.Errorf("recording %q: %w: the cluster's name or ID is missing", r.What, wire.ErrInvalid)
	}
	j, err := openJournal(r.Dir) // for its lock
	if err != nil {
		return hostrecord.BeginAnswer{}, err
	}
	defer j.Close()
	found, err := readRecord(j.root)
	if err != nil {
		return hostrecord.BeginAnswer{}, err
	}
	if found == nil {
		found = &hostrecord.Record{Version: hostrecord.RecordVersion, Cluster: r.Cluster, ID: r.ID}
	}
	answer := hostrecord.BeginAnswer{Record: *found}
	if !found.Of(r.Cluster, r.ID) || found.HasBegun(r.What) {
		return answer, nil
	}
	found.Begun = append(found.Begun, r.What)
	answer.Record = *found
	return answer, clusterdir.WriteJSON(j.root, hostrecord.RecordFile, found)
}

// readRecord returns the record of a cluster's directory; nil when there is none.
func readRecord(root *os.Root) (*hostrecord.Record, error) {
	data, err := clusterdir.ReadFile(root, hostrecord.RecordFile, clusterdir.MaxState)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found, err := hostrecord.ParseRecord(data)
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", root.Name(), hostrecord.RecordFile, err)
	}
	return found, nil
}
