package client

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/kubefile/kubefile/runner/agent/agenttest"
	"github.com/kubefile/kubefile/runner/agent/hostrecord"
)

const clusterID = "5f0e7a52-3c1e-4a53-9c4c-0d1c9b9a2f11"

// The record is on the disk, for its owner alone, and grows by what is begun.
func TestRecordOfWhatWasBegun(t *testing.T) {
	c := newHost(t)
	if r, err := c.Record(t.Context()); r != nil || err != nil {
		t.Fatalf("a host without a cluster has the record %v, %v", r, err)
	}
	for _, what := range []string{hostrecord.BegunInstall, hostrecord.BegunKubeadmInit, hostrecord.BegunInstall} {
		if err := c.Begin(t.Context(), "default", clusterID, what); err != nil {
			t.Fatal(err)
		}
	}
	r, err := c.Record(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !r.Of("default", clusterID) || !slices.Equal(r.Begun, []string{hostrecord.BegunInstall, hostrecord.BegunKubeadmInit}) {
		t.Errorf("got %+v", r)
	}
	info, err := os.Stat(filepath.Join(c.Dir, hostrecord.RecordFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want mode 0600", info, err)
	}
}

// A record that names another cluster stays as it is.
func TestRecordOfAnotherCluster(t *testing.T) {
	for _, have := range []hostrecord.Record{{Cluster: "default", ID: "other"}, {Cluster: "other", ID: clusterID}} {
		c := newHost(t)
		if err := c.Begin(t.Context(), have.Cluster, have.ID, hostrecord.BegunInstall); err != nil {
			t.Fatal(err)
		}
		var other *hostrecord.OtherClusterError
		if err := c.Begin(t.Context(), "default", clusterID, hostrecord.BegunKubeadmInit); !errors.As(err, &other) || other.Have.ID != have.ID {
			t.Errorf("%v: got %v", have, err)
		}
		if r, err := c.Record(t.Context()); err != nil || r.HasBegun(hostrecord.BegunKubeadmInit) {
			t.Errorf("%v: got %+v, %v", have, r, err)
		}
	}
}

// A record that cannot be read is an error, and never taken for none.
func TestDamagedRecord(t *testing.T) {
	for _, content := range []string{"{", "\n", "null", `{"version":1}`, `{"version":2,"cluster":"default","id":"x"}`, "\x00\x00"} {
		c := newHost(t)
		if err := c.Begin(t.Context(), "default", clusterID, hostrecord.BegunInstall); err != nil {
			t.Fatal(err)
		}
		agenttest.Write(t, filepath.Join(c.Dir, hostrecord.RecordFile), content)
		if r, err := c.Record(t.Context()); err == nil {
			t.Errorf("%q: got %+v, want an error", content, r)
		}
		if err := c.Begin(t.Context(), "default", clusterID, hostrecord.BegunKubeadmInit); err == nil {
			t.Errorf("%q: something was begun", content)
		}
	}
}

func TestRecordNeedsIdentity(t *testing.T) {
	c := newHost(t)
	if err := c.Begin(t.Context(), "default", "", hostrecord.BegunInstall); err == nil {
		t.Error("a record without ID was written")
	}
}

// newHost is a client for a host that has an agent, and no directory of a cluster yet.
func newHost(t *testing.T) Client {
	t.Helper()
	return Client{Conn: local(t, "10.0.0.1"), Dir: filepath.Join(t.TempDir(), "data", "default"), path: runner(t).File}
}
