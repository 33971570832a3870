package registryproxy

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Names of the record files in the records directory: one JSON object a line.
const (
	ServedFile = "served.jsonl"
	MissedFile = "missed.jsonl"
)

// maxRecords bounds each file, in lines. Beyond it nothing new is recorded: the first misses tell most.
const maxRecords = 10_000

// Record is one image that was asked for.
type Record struct {
	Time      time.Time `json:"time"` // of the first time
	Reference string    `json:"reference"`
	Digest    string    `json:"digest,omitempty"` // of what was served
}

// Records keeps what was asked of a proxy, each image once, over restarts.
type Records struct {
	dir    string
	mu     sync.Mutex
	served map[Record]bool
	missed map[Record]bool
}

// OpenRecords reads what is in dir, which it makes if need be.
func OpenRecords(dir string) (*Records, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the records directory: %w", err)
	}
	r := &Records{dir: dir, served: map[Record]bool{}, missed: map[Record]bool{}}
	for name, known := range map[string]map[Record]bool{ServedFile: r.served, MissedFile: r.missed} {
		file, err := os.Open(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading records: %w", err)
		}
		records, err := ReadRecords(file)
		file.Close()
		if err != nil {
			return nil, fmt.Errorf("reading records %s: %w", name, err)
		}
		for _, record := range records {
			known[record.key()] = true
		}
	}
	return r, nil
}

// ReadRecords reads a record file. A last line that was cut off by a power failure is left out.
func ReadRecords(r io.Reader) ([]Record, error) {
	var records []Record
	scanner := bufio.NewScanner(r)
	for scanner.Scan() && len(records) < maxRecords {
		var record Record
		if json.Unmarshal(scanner.Bytes(), &record) == nil && record.Reference != "" {
			records = append(records, record)
		}
	}
	return records, scanner.Err()
}

func (r Record) key() Record { return Record{Reference: r.Reference, Digest: r.Digest} }

func (r *Records) add(record Record, served bool) error {
	name, known := MissedFile, r.missed
	if served {
		name, known = ServedFile, r.served
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if known[record.key()] || len(known) >= maxRecords {
		return nil
	}
	record.Time = time.Now().UTC().Truncate(time.Second)
	line, err := json.Marshal(record)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(r.dir, name), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(append(line, '\n'))
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	known[record.key()] = true
	return nil
}
