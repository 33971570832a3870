package agent

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/agent/wire"
)

// TestObserveIsLimited: what is read of all files together has an end, and so has their number.
func TestObserveIsLimited(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
		if err := os.WriteFile(filepath.Join(dir, name), bytes.Repeat([]byte("x"), maxContent), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o, err := observe(wire.Files{Contents: []string{filepath.Join(dir, "*")}})
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	for _, f := range o.Files {
		sent += len(f.Content)
	}
	if len(o.Files) != 10 || sent != maxContents {
		t.Errorf("%d files with %d bytes, want 10 with %d", len(o.Files), sent, maxContents)
	}
	for i := range maxFiles {
		if err := os.WriteFile(filepath.Join(dir, strings.Repeat("y", 1+i%200)+string(rune('A'+i/200))), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := observe(wire.Files{Digests: []string{filepath.Join(dir, "*")}}); err == nil {
		t.Errorf("more than %d files are taken in", maxFiles)
	}
}
