// Package step is what the frontend's binary does inside a build, in exec steps of its own image: each reads a request and
// an input directory and writes files that the frontend, or a later step, reads.
package step

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// Findings is the scan step's answer: a [Scanned].
	Findings = "findings.json"
	// Fetched is the fetch step's answer: a list of [Image].
	Fetched = "fetched.json"

	// maxRequest is the most a request may have, in bytes.
	maxRequest = 64 << 20
)

// FetchRequest asks for the manifests of images whose digests the build has resolved already.
type FetchRequest struct {
	Platform ocispec.Platform    `json:"platform"`
	Images   []Wanted            `json:"images"`
	Mirrors  map[string][]string `json:"mirrors,omitempty"` // registry host to base URLs, tried in order before the registry itself
	Blobs    bool                `json:"blobs,omitempty"`   // configs and layers too, for daemons that cannot fetch them
	// Attempt distinguishes equal requests, because BuildKit caches the answer to the first one, including its failures.
	Attempt string `json:"attempt,omitempty"`
}

// Wanted is one image by digest.
type Wanted struct {
	Reference string        `json:"reference"` // normalised
	Digest    digest.Digest `json:"digest"`    // of an index or a manifest
	Config    digest.Digest `json:"config"`    // of the platform's image
}

// Image is what the fetch step found for a [Wanted]. Indexes lead from the digest to the manifest, the outermost first; there are none
// if the digest is the manifest's own. The bytes of indexes and manifest are in <hex>/registry/blobs/<algorithm>/<hex>.
type Image struct {
	Reference string               `json:"reference"`
	Indexes   []ocispec.Descriptor `json:"indexes,omitempty"`
	Manifest  ocispec.Descriptor   `json:"manifest"`
	Config    ocispec.Descriptor   `json:"config"`
	Layers    []ocispec.Descriptor `json:"layers"`
	// Error is the reason why there is no content; Denied reports that the registry requires (other) credentials.
	Error  string `json:"error,omitempty"`
	Denied bool   `json:"denied,omitempty"`
}

func readRequest(path string, into any) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading the step's request: %w", err)
	}
	defer f.Close()
	dt, err := io.ReadAll(io.LimitReader(f, maxRequest))
	if err != nil {
		return fmt.Errorf("reading the step's request: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(dt))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("reading the step's request %s: %w", path, err)
	}
	return nil
}

func writeAnswer(dir, name string, answer any) error {
	dt, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("writing the step's answer: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), dt, 0o644); err != nil {
		return fmt.Errorf("writing the step's answer: %w", err)
	}
	return nil
}
