package runner

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestOldLogsAreRemoved: of each cluster's logs the newest stay. Other files stay, whatever they are called.
func TestOldLogsAreRemoved(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_STATE_HOME", home)
	dir := filepath.Join(home, "sealer-run")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	others := []string{"default-20200101T000000.000-1.log.gz", "default-notes.log", "of-default-20200101T000000.000-1.log", "default-2-20200101T000000.000-1.log"}
	names := slices.Clone(others)
	for i := range keptLogs + 20 {
		names = append(names, fmt.Sprintf("default-20200101T000000.%03d-%d.log", i, 1000-i))
	}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log, err := openLog("default")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, entry := range entries {
		left = append(left, entry.Name())
	}
	want := append(slices.Clone(others), filepath.Base(log.Name()))
	want = append(want, names[len(names)-keptLogs+1:]...)
	slices.Sort(want)
	if !slices.Equal(left, want) {
		t.Errorf("left are %d files %q, want %d %q", len(left), left, len(want), want)
	}
}
