package main

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// sampleReport is of a run in which one stage failed.
func sampleReport(t *testing.T) *report {
	t.Helper()
	log := filepath.Join(t.TempDir(), "lint.log")
	if err := os.WriteFile(log, []byte(strings.Repeat("a line\n", 62)+"main.go:1: not formatted\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	took := func(name string, d time.Duration) testTook { return testTook{testName{"example.com/e2e", name}, d} }
	results := []result{
		{stage: stage{name: "up"}, status: passed, wall: 21 * time.Second, cpu: 9 * time.Second},
		{stage: stage{name: "e2e"}, status: failed, reason: "exit status 1", began: 21 * time.Second, wall: 615 * time.Second, cpu: 50 * time.Second,
			tests: testResults{
				took:   []testTook{took("TestRoad/delete", 9*time.Second), took("TestRoad/apply", 81*time.Second), took("TestRoad", 90*time.Second)},
				failed: []testFailed{{testName{"example.com/e2e", "TestRoad/delete"}, "    road_test.go:7: got 1, want 2\n"}},
			}},
		{stage: stage{name: "lint"}, status: failed, reason: "exit status 2", began: time.Second, wall: 62 * time.Second, cpu: 110 * time.Second, log: log},
		{stage: stage{name: "bench"}, status: notRun, reason: "e2e did not pass"},
	}
	rep := newReport(results, 640*time.Second, machine{Load: 0.25, busy: time.Second}, machine{Load: 3, busy: 401 * time.Second})
	rep.Machine.CPUs, rep.Machine.LeastDisk = 2, 31e9
	rep.addDaemons(map[string]time.Duration{"services": 30 * time.Second, "hosts": 200 * time.Second})
	rep.setBudget(false)
	return rep
}

func TestReportIsPrinted(t *testing.T) {
	rep := sampleReport(t)
	var printed strings.Builder
	if err := rep.print(&printed); err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(printed.String(), rep.Stages[2].Log, "_out/test/lint.log")
	const golden = "testdata/report.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("printed:\n%s\nwant:\n%s", got, want)
	}
}

func TestReportIsWritten(t *testing.T) {
	rep, dir := sampleReport(t), t.TempDir()
	if err := rep.write(dir); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var read report
	if err := json.Unmarshal(data, &read); err != nil {
		t.Fatal(err)
	}
	if read.Passed || read.Wall != 640 || read.CPU != 399 || len(read.Stages) != 4 || read.Slowest[0].Name != "TestRoad/apply" {
		t.Errorf("report.json is %s", data)
	}
	markdown, err := os.ReadFile(filepath.Join(dir, "report.md"))
	if err != nil || !strings.Contains(string(markdown), "| e2e | FAILED | 0:21 | 10:15 | 0:50 |") {
		t.Errorf("report.md is %s, %v", markdown, err)
	}
}

func TestExitStatus(t *testing.T) {
	for _, c := range []struct {
		passed, interrupted, strict bool
		wall                        time.Duration
		compiled                    bool
		want                        int
	}{
		{passed: true, wall: time.Minute, want: 0},
		{passed: false, wall: time.Minute, want: 1},
		{passed: false, interrupted: true, wall: time.Minute, want: 130},
		{passed: true, wall: 21 * time.Minute, want: 0},
		{passed: true, strict: true, wall: 21 * time.Minute, want: 1},
		{passed: true, strict: true, wall: 21 * time.Minute, compiled: true, want: 0},
		{passed: true, strict: true, wall: 61 * time.Minute, compiled: true, want: 1},
	} {
		rep := &report{Passed: c.passed, Wall: c.wall.Seconds()}
		rep.setBudget(c.compiled)
		if got := rep.exitStatus(c.interrupted, c.strict); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
