package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/runner/agent/wire"
)

const (
	// maxContent is how much of one file an observation has, and maxContents of all files.
	maxContent  = 256 << 10
	maxContents = 2 << 20
	// maxFiles is how many files an observation has.
	maxFiles = 2000
)

// observe reads the files.
func observe(asked wire.Files) (wire.Observed, error) {
	o := wire.Observed{Files: map[string]wire.File{}}
	left := maxContents
	for i, patterns := range [][]string{asked.Contents, asked.Digests} {
		for _, pattern := range patterns {
			names, err := filepath.Glob(pattern)
			if err != nil {
				return o, fmt.Errorf("pattern %q: %w", pattern, wire.ErrInvalid)
			}
			for _, name := range names {
				if _, read := o.Files[name]; read {
					continue
				}
				if len(o.Files) == maxFiles {
					return o, fmt.Errorf("more than %d files to observe: %w", maxFiles, wire.ErrInvalid)
				}
				most := 0
				if i == 0 {
					most = min(maxContent, left)
				}
				f, there := observeFile(name, most)
				if there {
					left -= len(f.Content)
					o.Files[name] = f
				}
			}
		}
	}
	return o, nil
}

// observeFile reads one file, and keeps its content unless it is longer than most. One that goes away meanwhile is not there.
func observeFile(name string, most int) (f wire.File, there bool) {
	opened, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return f, false
	}
	if err != nil {
		return wire.File{Unread: true}, true
	}
	defer opened.Close()
	info, err := opened.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return wire.File{Unread: true}, true
	}
	start, err := io.ReadAll(io.LimitReader(opened, int64(most)+1))
	sum := digest.Canonical.Digester()
	sum.Hash().Write(start)
	_, failed := io.Copy(sum.Hash(), opened)
	if errors.Join(err, failed) != nil {
		return wire.File{Unread: true}, true
	}
	f.Digest = sum.Digest()
	if len(start) <= most && most > 0 {
		f.Content, f.Whole = start, true
	}
	return f, true
}
