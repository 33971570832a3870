package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

// TestReport compares both files of a report with testdata.
func TestReport(t *testing.T) {
	r := &Report{
		Commit: "v0.1.0-3-gabc", BuildKit: "buildkitd v0.34.2", Kernel: "6.12", Go: "go1.26", Processors: 2,
		Started: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC), Interrupted: true,
		Matrices: []MatrixReport{
			{Name: "copy", Seed: 17, Seconds: 75.2, Cases: []Outcome{
				{Name: "seed 17", Seed: 17, Result: Passed, Seconds: 12.34, Command: "a"},
				{Name: "seed 18", Seed: 18, Result: Failed, Seconds: 62.8, Command: "cd integration/build && $OLDPWD/_out/x -seed=18",
					Log: "# not a heading\n```\nexit status 1"},
			}},
			{Name: "repeats", Loaded: true, Seed: 17, Seconds: 0.5, Cases: []Outcome{{Name: "a|b", Result: Interrupted, Seconds: 0.5}}, NotRun: []string{"c|d"}},
		},
	}
	dir := t.TempDir()
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"report.md", "report.json"} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s differs; run the test with -update and look at the difference:\n%s", golden, got)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.new")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
