package hosttest

import (
	"os"
	"strings"
	"testing"
)

// DataRoot returns a new directory that may be the data root of a cluster. Other than t.TempDir, its path has no space, even if TMPDIR has.
func DataRoot(t testing.TB) string {
	t.Helper()
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-"
	dir := t.TempDir()
	if strings.Trim(dir, plain) == "" {
		return dir
	}
	dir, err := os.MkdirTemp("/tmp", "kubefile-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
