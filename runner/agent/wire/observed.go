package wire

import (
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"
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
