package main

import (
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubefile/kubefile/runner/phase"
)

// TestKillRows compares the phases of the rows with those of a bring-up, and their faults with those of the test that runs them.
func TestKillRows(t *testing.T) {
	var titles []string
	for _, p := range phase.Bringup(&phase.Cluster{}) {
		titles = append(titles, p.Title())
	}
	test, err := os.ReadFile("../e2e/faults_test.go")
	if err != nil {
		t.Fatal(err)
	}
	faults := map[string]bool{}
	for _, name := range regexp.MustCompile(`(?m)^\t\t"([a-z-]+)": `).FindAllStringSubmatch(string(test), -1) {
		faults[name[1]] = false
	}
	if len(faults) < 2 {
		t.Fatalf("the test of the rows has the faults %v: the pattern does not fit", faults)
	}
	rows := killRows()
	if sorted := slices.Sorted(slices.Values(rows)); len(slices.Compact(sorted)) != len(rows) {
		t.Errorf("a row is there twice: %q", rows)
	}
	for row := range strings.SplitSeq(strings.Join(rows, "+"), "+") {
		fault, title, found := strings.Cut(row, ":")
		if !found || fault == "comes-back-empty" {
			continue
		}
		if !slices.Contains(titles, title) {
			t.Errorf("%s: a bring-up has no such phase", row)
		}
		if _, known := faults[fault]; !known {
			t.Errorf("%s: the test of the rows has no such fault", row)
		}
		faults[fault] = true
	}
	for fault, used := range faults {
		if !used {
			t.Errorf("no row has the fault %s", fault)
		}
	}
}

// TestAnotherSeedHasOtherRows first, but the same ones.
func TestAnotherSeedHasOtherRows(t *testing.T) {
	names := func(seed uint64) (all []string) {
		for c := range killCases(settings{Seed: seed}) {
			all = append(all, c.Name)
		}
		return all
	}
	one, two := names(1), names(2)
	if slices.Equal(one[:5], two[:5]) {
		t.Errorf("both seeds begin with %q", one[:5])
	}
	slices.Sort(one)
	slices.Sort(two)
	if !slices.Equal(one, two) {
		t.Errorf("got %q and %q", one, two)
	}
}

// TestALineIsRepeatedInAShell although a word of it has quotes.
func TestALineIsRepeatedInAShell(t *testing.T) {
	s := newSoak(t)
	line := s.line(Case{Command: []string{"echo", "-row=Write the site's files", "^TestA$"}})
	if got, err := shellOutput(t, line+" | grep -x -F -e \"-row=Write the site's files ^TestA$\""); err != nil {
		t.Errorf("%s: %v: %s", line, err, got)
	}
}

// TestWhatAMatrixStartedIsStopped after its cases, also when one of them failed; not when none ran.
func TestWhatAMatrixStartedIsStopped(t *testing.T) {
	for limit, want := range map[time.Duration]bool{time.Hour: true, 0: false} {
		s := newSoak(t)
		stopped := filepath.Join(s.root, "stopped")
		m := Matrix{Name: "m", After: []string{"touch", stopped}, Cases: func(settings) iter.Seq[Case] {
			return slices.Values([]Case{shell("a", "test ! -e '"+stopped+"'"), shell("b", "false")})
		}}
		if err := s.run(t.Context(), m, settings{Time: limit}); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(stopped); (err == nil) != want {
			t.Errorf("with %s for the cases: stopped is %t, want %t", limit, err == nil, want)
		}
		if cases := s.report.Matrices[0].Cases; want && cases[0].Result != Passed {
			t.Errorf("it was stopped before the cases: %+v", cases)
		}
	}
	s := newSoak(t)
	m := Matrix{Name: "m", After: []string{"sh", "-c", "echo why; exit 3"}, Cases: func(settings) iter.Seq[Case] {
		return slices.Values([]Case{shell("a", "true")})
	}}
	if err := s.run(t.Context(), m, settings{Time: time.Hour}); err == nil || !strings.Contains(err.Error(), "exit status 3: why") {
		t.Errorf("got %v, want the error of what stops it", err)
	}
}
