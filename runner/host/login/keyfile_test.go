package login

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kubefile/kubefile/runner/inputfile"
)

// TestKeyFilesDoNotWait: a pipe without a writer would hold the run where no signal reaches it.
func TestKeyFilesDoNotWait(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := readKey(pipe, "")
	if !errors.Is(err, inputfile.ErrNotRegular) || !strings.Contains(err.Error(), "reading the private key: "+pipe) {
		t.Errorf("got %v, want an error about a named pipe", err)
	}
}
