package registryproxy

import (
	"bufio"
	"bytes"
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
	// ServedFile lists the manifests that were served.
	ServedFile = "served.jsonl"
	// MissedFile lists the manifests that were asked for and that neither this host nor a seed holds.
	MissedFile = "missed.jsonl"
)

const (
	// maxRecords bounds each file, in lines. Beyond it nothing new is recorded: the first misses tell most.
	maxRecords = 10_000
	// maxRecordSize bounds one line, in bytes. A reference has less than 600.
	maxRecordSize = 4 << 10
)

// Record is one manifest that was asked for.
type Record struct {
	Time      time.Time `json:"time"`             // of the first time
	Reference string    `json:"reference"`        // full form, by tag or by digest as it was asked for
	Digest    string    `json:"digest,omitempty"` // of what was served
}

// key identifies equal records.
func (r Record) key() Record { return Record{Reference: r.Reference, Digest: r.Digest} }

// Records keeps what was asked of a proxy, each manifest once, over restarts.
type Records struct {
	dir   string
	mu    sync.Mutex
	known map[string]map[Record]bool // by file
}

// OpenRecords reads what is in dir, which it makes if need be.
func OpenRecords(dir string) (*Records, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the records directory: %w", err)
	}
	r := &Records{dir: dir, known: map[string]map[Record]bool{}}
	for _, name := range []string{ServedFile, MissedFile} {
		r.known[name] = map[Record]bool{}
		data, err := readRecordFile(filepath.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("reading records: %w", err)
		}
		records, err := ReadRecords(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("reading records: %s: %w", name, err)
		}
		for _, record := range records {
			r.known[name][record.key()] = true
		}
		if len(data) > 0 && data[len(data)-1] != '\n' {
			if err := r.append(name, nil); err != nil { // ends a line that was cut off
				return nil, fmt.Errorf("repairing records: %w", err)
			}
		}
	}
	return r, nil
}

func readRecordFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxRecords*maxRecordSize))
}

// ReadRecords reads a record file. It skips invalid lines: a power failure may have cut off the last one.
func ReadRecords(r io.Reader) ([]Record, error) {
	var records []Record
	lines := bufio.NewReaderSize(r, maxRecordSize)
	for len(records) < maxRecords {
		line, tooLong, err := lines.ReadLine()
		if err == io.EOF {
			return records, nil
		}
		if err != nil {
			return records, fmt.Errorf("reading records: %w", err)
		}
		var record Record
		if !tooLong && json.Unmarshal(line, &record) == nil && record.Reference != "" {
			records = append(records, record)
		}
	}
	return records, nil
}

// add records something in a file, if it is new there.
func (r *Records) add(name string, record Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.known[name]
	if known[record.key()] || len(known) >= maxRecords {
		return nil
	}
	known[record.key()] = true
	record.Time = time.Now().UTC().Truncate(time.Second)
	line, err := json.Marshal(record)
	if err != nil {
		return err
	}
	return r.append(name, line)
}

// append writes a line at the end of a file.
func (r *Records) append(name string, line []byte) error {
	file, err := os.OpenFile(filepath.Join(r.dir, name), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(append(line, '\n'))
	return errors.Join(err, file.Close())
}
