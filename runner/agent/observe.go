package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"
)

const (
	// maxContent is how much of one file an observation has, and maxContents of all files.
	maxContent  = 256 << 10
	maxContents = 2 << 20
	// maxFiles is how many files an observation has.
	maxFiles = 2000
)

// Files are files of a host, by patterns of [filepath.Match]. What matches none of them is not known.
type Files struct {
	// Contents are small files that are read, and Digests those of which only the digest is wanted.
	Contents []string `json:"contents,omitempty"`
	Digests  []string `json:"digests,omitempty"`
}

// Observed are files as they were on a host at one moment.
type Observed struct {
	Asked Files           `json:"-"`
	Files map[string]File `json:"files"`
}

// File is a file as it was observed.
type File struct {
	Digest digest.Digest `json:"digest"`
	// Content is nil when it was not asked for, or was too long.
	Content []byte `json:"content,omitempty"`
	Whole   bool   `json:"whole,omitempty"` // Content has all of it
	// Unread says that something is there that could not be read as a file.
	Unread bool `json:"unread,omitempty"`
}

// Observe reads all files of some patterns on the host at once, and changes nothing.
func (c Client) Observe(ctx context.Context, files Files) (*Observed, error) {
	var answer Observed
	if err := c.call(ctx, c.agent(), verbObserve, files, nil, &answer); err != nil {
		return nil, fmt.Errorf("reading the cluster's files: %w", err)
	}
	answer.Asked = files
	return &answer, nil
}

// Content returns the content of a file, which is empty when there is none. It is not known of every file.
func (o *Observed) Content(name string) (content []byte, known bool) {
	if o == nil || !matches(o.Asked.Contents, name) {
		return nil, false
	}
	f, there := o.Files[name]
	switch {
	case f.Unread:
		return nil, false
	case !there:
		return nil, true
	}
	return f.Content, f.Whole
}

// Digest returns the digest of a file, which is empty when there is none. It is not known of every file.
func (o *Observed) Digest(name string) (sum digest.Digest, known bool) {
	if o == nil {
		return "", false
	}
	f := o.Files[name]
	return f.Digest, !f.Unread && (matches(o.Asked.Contents, name) || matches(o.Asked.Digests, name))
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		matched, err := filepath.Match(pattern, name)
		return err == nil && matched
	})
}

// observe reads the files.
func observe(asked Files) (Observed, error) {
	o := Observed{Files: map[string]File{}}
	left := maxContents
	for i, patterns := range [][]string{asked.Contents, asked.Digests} {
		for _, pattern := range patterns {
			names, err := filepath.Glob(pattern)
			if err != nil {
				return o, fmt.Errorf("pattern %q: %w", pattern, ErrInvalid)
			}
			for _, name := range names {
				if _, read := o.Files[name]; read {
					continue
				}
				if len(o.Files) == maxFiles {
					return o, fmt.Errorf("more than %d files to observe: %w", maxFiles, ErrInvalid)
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
func observeFile(name string, most int) (f File, there bool) {
	opened, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return f, false
	}
	if err != nil {
		return File{Unread: true}, true
	}
	defer opened.Close()
	info, err := opened.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return File{Unread: true}, true
	}
	start, err := io.ReadAll(io.LimitReader(opened, int64(most)+1))
	sum := digest.Canonical.Digester()
	sum.Hash().Write(start)
	_, failed := io.Copy(sum.Hash(), opened)
	if errors.Join(err, failed) != nil {
		return File{Unread: true}, true
	}
	f.Digest = sum.Digest()
	if len(start) <= most && most > 0 {
		f.Content, f.Whole = start, true
	}
	return f, true
}
