package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func shell(name, script string) Case { return Case{Name: name, Command: []string{"sh", "-c", script}} }

func newSoak(t *testing.T) *soak {
	t.Helper()
	return &soak{root: t.TempDir(), out: filepath.Join(t.TempDir(), "soak"), w: io.Discard, report: &Report{Commit: "abc", Started: time.Unix(0, 0)}}
}

func written(t *testing.T, s *soak) (r Report) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.out, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func results(cases []Outcome) (all []Result) {
	for _, c := range cases {
		all = append(all, c.Result)
	}
	return all
}

// TestASoakGoesOnAfterAFailure: the report has all cases, and of the failed one its command and the end of its output.
func TestASoakGoesOnAfterAFailure(t *testing.T) {
	s := newSoak(t)
	m := Matrix{Name: "m", Loaded: true, Cases: func(settings) iter.Seq[Case] {
		return slices.Values([]Case{shell("a", "true"), shell("b", "echo why; exit 3"), shell("c", "true")})
	}}
	if err := s.run(t.Context(), m, settings{Seed: 7, Time: time.Hour}); err != nil {
		t.Fatal(err)
	}
	r := written(t, s)
	if got, want := results(r.Matrices[0].Cases), []Result{Passed, Failed, Passed}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	if failed := r.Matrices[0].Cases[1]; failed.Log != "why\n\nexit status 3" || failed.Command != "sh -c 'echo why; exit 3'" {
		t.Errorf("the failure is reported as %+v", failed)
	}
	if got := r.Failures(); len(got) != 1 || len(got["m"]) != 1 {
		t.Errorf("failures are %v", got)
	}
}

// TestTheTimeOfAMatrix: without time no case starts. Cases that did not start are listed if the matrix is finite.
func TestTheTimeOfAMatrix(t *testing.T) {
	s := newSoak(t)
	endless := Matrix{Name: "endless", Endless: true, Cases: func(set settings) iter.Seq[Case] {
		return seeded(set.Seed, 1, func(uint64) Case { return shell("", "true") })
	}}
	finite := Matrix{Name: "finite", Cases: func(settings) iter.Seq[Case] { return slices.Values([]Case{shell("a", "true"), shell("b", "true")}) }}
	for _, m := range []Matrix{endless, finite} {
		if err := s.run(t.Context(), m, settings{Seed: 7}); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.report.Matrices[0]; len(got.Cases)+len(got.NotRun) != 0 {
		t.Errorf("of the endless matrix ran %+v", got)
	}
	if got := s.report.Matrices[1]; len(got.Cases) != 0 || !slices.Equal(got.NotRun, []string{"a", "b"}) {
		t.Errorf("of the finite matrix ran %+v", got)
	}
	if text := s.report.Markdown(); !strings.Contains(text, "| finite | 7 | 0s | 0 | 0 | 2 |") {
		t.Errorf("the table is\n%s", text)
	}
}

// TestAnInterruptedSoakHasAReport: the case that runs is ended with all that it started, and what ran before is reported.
func TestAnInterruptedSoakHasAReport(t *testing.T) {
	s := newSoak(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	fifo := filepath.Join(s.root, "started")
	m := Matrix{Name: "m", Cases: func(settings) iter.Seq[Case] {
		return func(yield func(Case) bool) {
			if !yield(shell("a", "true")) {
				return
			}
			go func() {
				os.ReadFile(fifo) // returns when the case has opened it
				cancel()
			}()
			yield(shell("b", "echo >\""+fifo+"\"; sleep 1000 & wait"))
		}
	}}
	if out, err := shellOutput(t, "mkfifo \""+fifo+"\""); err != nil {
		t.Fatal(err, out)
	}
	if err := s.run(ctx, m, settings{Time: time.Hour}); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want %v", err, context.Canceled)
	}
	r := written(t, s)
	if got, want := results(r.Matrices[0].Cases), []Result{Passed, Interrupted}; !slices.Equal(got, want) || !r.Interrupted {
		t.Errorf("got %v and interrupted=%v, want %v", got, r.Interrupted, want)
	}
}

func shellOutput(t *testing.T, script string) (string, error) {
	t.Helper()
	s := newSoak(t)
	outcome := s.try(t.Context(), shell("", script))
	if outcome.Result != Passed {
		return outcome.Log, errors.New(string(outcome.Result))
	}
	return "", nil
}

// TestALongOutputIsCut at the beginning of a line.
func TestALongOutputIsCut(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789\n"), 10)
	if got, want := end(long, 25), "...\n0123456789\n0123456789\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := end(long, len(long)); got != string(long) {
		t.Errorf("a short output became %q", got)
	}
}

// TestTheSameSeedIsTheSameCases for every matrix, which also has a name of its own.
func TestTheSameSeedIsTheSameCases(t *testing.T) {
	set := settings{Seed: 5, Time: time.Hour, Binaries: "/bin", Targets: []fuzzTarget{{"a.test", "imagespec", "FuzzA"}, {"b.test", "llb", "FuzzB"}}}
	seen := map[string]bool{}
	for _, m := range matrices() {
		if seen[m.Name] {
			t.Errorf("there are two matrices %s", m.Name)
		}
		seen[m.Name] = true
		first, second := some(m.Cases(set)), some(m.Cases(set))
		if len(first) < 2 || !slices.Equal(first, second) {
			t.Errorf("%s: got %q, then %q", m.Name, first, second)
		}
	}
	if _, err := choose("copy,nothing"); err == nil || !strings.Contains(err.Error(), `unknown matrix "nothing": use copy, `) {
		t.Errorf("got %v", err)
	}
}

func some(cases iter.Seq[Case]) (lines []string) {
	s := &soak{root: "/"}
	for c := range cases {
		if lines = append(lines, c.Name+": "+s.line(c)); len(lines) == 3 {
			break
		}
	}
	return lines
}
