package hostrecord

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/kubefile/kubefile/runner/agent/wire"
)

// Survey is what a host's journal and record say, for people and for a removal.
type Survey struct {
	Record *Record // nil on hosts of earlier versions

	dir     string
	journal *Journal
}

// NewSurvey puts together what was read in a cluster's directory.
func NewSurvey(dir string, journal *Journal, record *Record) *Survey {
	return &Survey{Record: record, dir: dir, journal: journal}
}

// Prove fails with [wire.ErrForeign] when the journal was begun for another directory or the record names another cluster. An empty ID is not
// compared.
func (s *Survey) Prove(cluster, id string) error {
	switch {
	case s.journal.Dir != "" && s.journal.Dir != s.dir:
		return fmt.Errorf("%s: %w: its %s was begun for %q, so this is a copy; nothing was removed", s.dir, wire.ErrForeign, JournalFile, s.journal.Dir)
	case filepath.Base(s.dir) != cluster:
		return fmt.Errorf("%s: %w: it is not the directory of a cluster %s", s.dir, wire.ErrForeign, cluster)
	case s.Record == nil:
		return nil
	case s.Record.Cluster != cluster:
		return fmt.Errorf("%s: %w: its %s names the cluster %q", s.dir, wire.ErrForeign, RecordFile, s.Record.Cluster)
	case id != "" && s.Record.ID != id:
		return fmt.Errorf("%s: %w: its %s names a cluster with the ID %q, and this one has %q", s.dir, wire.ErrForeign, RecordFile, s.Record.ID, id)
	}
	return nil
}

// ID is the cluster's, as far as the host knows it.
func (s *Survey) ID() string {
	if s.Record == nil {
		return ""
	}
	return s.Record.ID
}

// Lines are those that the cluster has in a file that others write too; none when it is not known to have any.
func (s *Survey) Lines(path, cluster string) []string {
	for _, e := range slices.Backward(s.journal.Entries) {
		if e.Path == path && e.Block != nil && e.Block.Mark == cluster {
			return e.Block.Lines
		}
	}
	return nil
}

// Removals returns, one line each, what a removal takes off the host if no one has changed it.
func (s *Survey) Removals() []string {
	var lines []string
	for _, e := range slices.Backward(s.journal.Entries) {
		switch {
		case e.Dir:
		case e.Block != nil:
			lines = append(lines, "take the cluster's lines out of "+e.Path)
		case e.Previous != nil:
			lines = append(lines, "restore "+e.Path)
		default:
			lines = append(lines, "remove "+e.Path)
		}
	}
	if s.journal.Dir == "" {
		return append(lines, "leave "+s.dir+", which may have been there before")
	}
	return append(lines, "remove "+s.dir)
}
