package execute

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/agent/hostrecord"
)

// A cluster's directory is full when others have something in it, and not when a first run was killed before it had a journal.
func TestLookAtDirectories(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		full  bool
	}{
		"empty":                 {nil, false},
		"a disk of its own":     {[]string{"lost+found"}, false},
		"a run that was killed": {[]string{"created.lock", ".ABCDEFGHIJKLMNOPQRSTUVWXY2"}, false},
		"a hidden file":         {[]string{".abcdefghijklmnopqrstuvwxy2"}, true},
		"a file":                {[]string{"created.lock", "notes"}, true},
		"our own":               {[]string{hostrecord.JournalFile}, true},
	} {
		dir := t.TempDir()
		for _, file := range c.files {
			if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		out, err := exec.CommandContext(t.Context(), "sh", append([]string{"-c", LookScript, "sh"}, LookQuestion("/nowhere", dir, dir).Args...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		if full := strings.Contains("\n"+string(out), "\nfull\n"); full != c.full {
			t.Errorf("%s: full is %v, want %v: %q", name, full, c.full, out)
		}
	}
}
