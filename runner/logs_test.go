package runner

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/report"
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

// TestOneLogForARun: all parts of a run write to one log, and where it is is said once.
func TestOneLogForARun(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_STATE_HOME", home)
	var progress bytes.Buffer
	log := &runLog{}
	for _, part := range []string{"bring up a", "remove the hosts"} {
		r := report.New(&progress)
		if err := log.keep("c", r); err != nil {
			t.Fatal(err)
		}
		r.Part(part)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(home, "sealer-run", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("got the logs %v, %v, want one", files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(text), "\n"); lines != 2 || !strings.Contains(string(text), " remove the hosts:\n") {
		t.Errorf("the log has\n%s", text)
	}
	if got, want := progress.String(), "log: "+files[0]+"\nbring up a:\nremove the hosts:\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
