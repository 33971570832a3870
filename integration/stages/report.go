package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report is what a test run took. It is written as JSON, in seconds.
type report struct {
	Passed   bool           `json:"passed"`
	Wall     float64        `json:"wallSeconds"`
	CPU      float64        `json:"cpuSeconds"` // of stages, services and hosts
	Budget   float64        `json:"budgetSeconds"`
	Compiled bool           `json:"toolsCompiled"`
	Machine  reportMachine  `json:"machine"`
	Stages   []reportStage  `json:"stages"`
	Daemons  []reportDaemon `json:"daemons"`
	Slowest  []reportTest   `json:"slowestTests"`
}

type reportMachine struct {
	CPUs       int     `json:"cpus"`
	LoadBefore float64 `json:"loadBefore"`
	LoadAfter  float64 `json:"loadAfter"`
	Busy       float64 `json:"busySeconds"`        // of all processes on the machine, of others too
	LeastDisk  uint64  `json:"leastFreeDiskBytes"` // while the stages ran
}

type reportStage struct {
	Name   string   `json:"name"`
	Status status   `json:"status"`
	Reason string   `json:"reason,omitempty"`
	Began  float64  `json:"beganSeconds"`
	Wall   float64  `json:"wallSeconds"`
	CPU    float64  `json:"cpuSeconds"`
	Failed []string `json:"failedTests,omitempty"`
	Log    string   `json:"log,omitempty"`

	failures []testFailed
}

type reportDaemon struct {
	Name string  `json:"name"`
	CPU  float64 `json:"cpuSeconds"`
}

type reportTest struct {
	Stage string  `json:"stage"`
	Name  string  `json:"name"`
	Wall  float64 `json:"wallSeconds"`
}

const (
	warmBudget = 20 * time.Minute
	coldBudget = 60 * time.Minute // when tools had to be compiled
	slowest    = 10
)

func newReport(results []result, wall time.Duration, before, after machine) *report {
	rep := &report{Passed: true, Wall: wall.Seconds(), Machine: reportMachine{
		CPUs: runtime.NumCPU(), LoadBefore: before.Load, LoadAfter: after.Load, Busy: (after.busy - before.busy).Seconds(),
	}}
	for _, r := range results {
		s := reportStage{
			Name: r.stage.name, Status: r.status, Reason: r.reason, Log: r.log,
			Began: r.began.Seconds(), Wall: r.wall.Seconds(), CPU: r.cpu.Seconds(),
		}
		s.failures = r.tests.failed
		for _, test := range s.failures {
			s.Failed = append(s.Failed, test.String())
		}
		rep.Stages = append(rep.Stages, s)
		rep.Passed = rep.Passed && r.status == passed
		rep.CPU += s.CPU
		for _, took := range r.tests.leaves() {
			rep.Slowest = append(rep.Slowest, reportTest{Stage: s.Name, Name: took.test, Wall: took.time.Seconds()})
		}
	}
	slices.SortStableFunc(rep.Slowest, func(a, b reportTest) int { return int(1000 * (b.Wall - a.Wall)) })
	rep.Slowest = rep.Slowest[:min(slowest, len(rep.Slowest))]
	return rep
}

func (n testName) String() string {
	if n.pkg == "" {
		return n.test
	}
	return n.pkg + " " + n.test
}

// leaves are the tests without those that only contain others.
func (r testResults) leaves() []testTook {
	parents := map[testName]bool{}
	for _, took := range r.took {
		for name := took.test; strings.Contains(name, "/"); {
			name = name[:strings.LastIndex(name, "/")]
			parents[testName{took.pkg, name}] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(r.took), func(t testTook) bool { return parents[t.testName] })
}

// addDaemons adds the processor time of what stages use and do not start.
func (rep *report) addDaemons(total map[string]time.Duration) {
	for _, name := range []string{"services", "hosts"} {
		rep.Daemons = append(rep.Daemons, reportDaemon{name, total[name].Seconds()})
		rep.CPU += total[name].Seconds()
	}
}

func (rep *report) setBudget(compiled bool) {
	rep.Compiled = compiled
	rep.Budget = warmBudget.Seconds()
	if compiled {
		rep.Budget = coldBudget.Seconds()
	}
}

func (rep *report) overBudget() bool { return rep.Wall > rep.Budget }

// exitStatus is 130 after an interrupt, and 1 after a failure. Exceeding the budget is a failure only if the caller requests it.
func (rep *report) exitStatus(interrupted, strict bool) int {
	switch {
	case interrupted:
		return 130
	case !rep.Passed, strict && rep.overBudget():
		return 1
	default:
		return 0
	}
}

// write writes report.json and report.md.
func (rep *report) write(dir string) error {
	data, err := json.MarshalIndent(rep, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "report.json"), append(data, '\n'), 0o644),
		os.WriteFile(filepath.Join(dir, "report.md"), []byte(rep.markdown()), 0o644))
}

func (rep *report) markdown() string {
	var text strings.Builder
	fmt.Fprintf(&text, "| stage | result | began | wall | CPU |\n|---|---|---:|---:|---:|\n")
	for _, s := range rep.Stages {
		fmt.Fprintf(&text, "| %s | %s | %s | %s | %s |\n", s.Name, s.Status, inSeconds(s.Began), inSeconds(s.Wall), inSeconds(s.CPU))
	}
	for _, d := range rep.Daemons {
		fmt.Fprintf(&text, "| %s | | | | %s |\n", d.Name, inSeconds(d.CPU))
	}
	fmt.Fprintf(&text, "| all | | | %s | %s |\n\n%s\n\n| slowest tests | stage | wall |\n|---|---|---:|\n", inSeconds(rep.Wall), inSeconds(rep.CPU), rep.summary())
	for _, test := range rep.Slowest {
		fmt.Fprintf(&text, "| %s | %s | %.1f s |\n", test.Name, test.Stage, test.Wall)
	}
	return text.String()
}

// summary compares the time with the budget.
func (rep *report) summary() string {
	state := "Within"
	if rep.overBudget() {
		state = "Over"
	}
	space := fmt.Sprintf("at least %s of disk were free", gigabytes(rep.Machine.LeastDisk))
	if rep.Machine.LeastDisk < diskFull {
		space = fmt.Sprintf("only %s of disk were free at times, which may be why stages failed", gigabytes(rep.Machine.LeastDisk))
	}
	return fmt.Sprintf("%s the budget of %s on %d CPUs; load %.1f before and %.1f after; all processes of the machine used %s of CPU; %s.", state,
		inSeconds(rep.Budget), rep.Machine.CPUs, rep.Machine.LoadBefore, rep.Machine.LoadAfter, inSeconds(rep.Machine.Busy), space)
}

// print prints the tables, and then what failed, so that this is what one sees last.
func (rep *report) print(w io.Writer) error {
	fmt.Fprintln(w)
	rep.table(w)
	var names []string
	for _, s := range rep.Stages {
		if s.Status == passed {
			continue
		}
		names = append(names, s.Name)
		if s.Status == failed {
			if err := s.printFailure(w); err != nil {
				return err
			}
		}
	}
	if len(names) > 0 {
		fmt.Fprintf(w, "\n%d of %d stages did not pass: %s\n", len(names), len(rep.Stages), strings.Join(names, ", "))
	}
	return nil
}

// table prints stages, daemons, the slowest tests, and the whole against its budget.
func (rep *report) table(w io.Writer) {
	const row = "%6s  %6s  %6s  %-7s  %s\n"
	fmt.Fprintf(w, row, "began", "wall", "CPU", "result", "stage")
	for _, s := range rep.Stages {
		fmt.Fprintf(w, row, inSeconds(s.Began), inSeconds(s.Wall), inSeconds(s.CPU), s.Status, s.Name)
	}
	for _, d := range rep.Daemons {
		fmt.Fprintf(w, row, "", "", inSeconds(d.CPU), "", d.Name)
	}
	fmt.Fprintf(w, row, "", inSeconds(rep.Wall), inSeconds(rep.CPU), "", "all")
	fmt.Fprintf(w, "\n%s\n", rep.summary())
	if len(rep.Slowest) == 0 {
		return
	}
	fmt.Fprint(w, "\nslowest tests\n")
	for _, t := range rep.Slowest {
		fmt.Fprintf(w, "%6.1f s  %-11s  %s\n", t.Wall, t.Stage, t.Name)
	}
}

// tailLines is how much is printed of a log, or of a test, that failed.
const tailLines = 40

// printFailure prints what the tests that failed printed. Without such tests it is the end of the log.
func (s *reportStage) printFailure(w io.Writer) error {
	fmt.Fprintf(w, "\n=== %s: %s; log: %s\n", s.Name, s.Reason, s.Log)
	for _, test := range s.failures {
		printTail(w, test.text)
	}
	for _, name := range s.Failed {
		fmt.Fprintf(w, "failed: %s\n", name)
	}
	if len(s.failures) > 0 || s.Log == "" {
		return nil
	}
	data, err := os.ReadFile(s.Log)
	printTail(w, string(data))
	return err
}

func printTail(w io.Writer, text string) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) > tailLines {
		fmt.Fprintln(w, "...")
		lines = lines[len(lines)-tailLines:]
	}
	fmt.Fprintln(w, strings.Join(lines, "\n"))
}

// seconds writes a duration as minutes and seconds.
func seconds(d time.Duration) string {
	whole := int(d.Round(time.Second) / time.Second)
	return fmt.Sprintf("%d:%02d", whole/60, whole%60)
}

func inSeconds(n float64) string { return seconds(time.Duration(n * float64(time.Second))) }
