package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/cmd/commandline"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/source/audit"
)

func TestVerify(t *testing.T) {
	image := layout(t)
	stdout, stderr, code := call(t, "", "verify", image)
	if code != 0 || !strings.Contains(stdout, "linux/amd64") || !strings.Contains(stdout, "linux/arm64") || !strings.HasSuffix(stdout, "no problems found\n") {
		t.Errorf("got status %d and\n%s", code, stdout)
	}
	if !strings.Contains(stderr, "linux/arm64: layer 1 of 1, 2.0 kB\n") {
		t.Errorf("got no progress of a small layer:\n%s", stderr)
	}
	if !strings.Contains(stdout, "1 layers, 2.0 kB ") {
		t.Errorf("got no size of a small image:\n%s", stdout)
	}
	extra := filepath.Join(image, "blobs", "sha256", strings.Repeat("0", 64))
	if err := os.WriteFile(extra, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if stdout, _, code := call(t, "", "verify", image); code != 0 || !strings.Contains(stdout, "warning: blobs/sha256/000") {
		t.Errorf("a warning: got status %d and\n%s", code, stdout)
	}
	audited, err := audit.Run(t.Context(), image, source.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	manifest := audited.Platforms[0].Digest
	if err := os.Remove(filepath.Join(image, "blobs", "sha256", manifest.Encoded())); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code = call(t, "", "verify", image)
	if code != commandline.Failed || !strings.Contains(stdout, "problem: linux/amd64: manifest "+manifest.String()) || !strings.Contains(stderr, "problems found: 1") {
		t.Errorf("got status %d,\n%s\nand\n%s", code, stdout, stderr)
	}
	if strings.Contains(stdout, "no problems found") {
		t.Errorf("there is a problem:\n%s", stdout)
	}
	stdout, _, code = call(t, "", "verify", image, "-o", "json")
	var got audit.Result
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != commandline.Failed {
		t.Fatalf("got status %d, %v:\n%s", code, err, stdout)
	}
	if len(got.Problems) != 1 || got.Problems[0].Platform != "linux/amd64" || len(got.Platforms) != 1 {
		t.Errorf("got %+v", got)
	}
	wantVersion(t, stdout)
}
