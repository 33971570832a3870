package health

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/report"
)

const (
	// certainAfter is how long a problem has to last that does not end by itself.
	certainAfter = 20 * time.Second
	// certainGap is how long it may be out of sight: a container that crashes runs for a moment.
	certainGap = 10 * time.Second
	// FirstInterval is how long after the first question the second one is asked, and lastInterval between later ones: a question is about
	// all nodes, and all hosts probe the cluster for it. It is shorter than certainGap.
	FirstInterval = time.Second
	lastInterval  = 5 * time.Second
	// NoticeEvery is how often a person is told what is waited for.
	NoticeEvery = 30 * time.Second
	// shownProblems is how many of them are in a notice.
	shownProblems = 3
)

// Problem is something of the cluster that does not work.
type Problem struct {
	Text    string // what, where, and the likely cause
	certain bool   // waiting does not help
}

// Works waits until there is no problem. It gives up early when one of them will not resolve itself.
func Works(ctx context.Context, s *execute.Session, docs kubeadm.Documents, patience time.Duration, whole bool) error {
	begin := time.Now()
	left, err := wait(ctx, s.Report, patience, func(ctx context.Context) ([]Problem, error) { return problems(ctx, s, docs, whole) })
	if err != nil || len(left) == 0 {
		return err
	}
	var lines []string
	for _, p := range left {
		lines = append(lines, p.Text)
	}
	waited := min(patience, time.Since(begin))
	if waited > time.Second {
		waited = waited.Round(time.Second)
	}
	return fmt.Errorf("not ready after %s:\n  %s", waited, strings.Join(lines, "\n  "))
}

// wait asks until there is no problem, and returns those that there still are when patience ends, or when one of them is certain.
func wait(ctx context.Context, r *report.Report, patience time.Duration, ask func(context.Context) ([]Problem, error)) (problems []Problem, err error) {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	problems = []Problem{{Text: "the cluster does not answer"}}
	begin := time.Now()
	var certain, seen time.Time
	interval := FirstInterval
	for told := begin; ; {
		found, err := ask(limited)
		switch {
		case limited.Err() != nil: // an answer that was cut off says nothing
		case err == nil && len(found) == 0:
			return nil, nil
		case err == nil:
			problems = found
		default:
			problems = []Problem{{Text: err.Error()}}
		}
		if slices.ContainsFunc(problems, func(p Problem) bool { return p.certain }) {
			if time.Since(seen) > certainGap {
				certain = time.Now()
			}
			seen = time.Now()
			if time.Since(certain) > certainAfter {
				return problems, context.Cause(ctx)
			}
		}
		if time.Since(told) >= NoticeEvery {
			told = time.Now()
			Tell(r, time.Since(begin), problems)
		}
		if execute.Pause(limited, interval) != nil {
			return problems, context.Cause(ctx)
		}
		interval = Longer(interval)
	}
}

// Longer is the interval that follows one.
func Longer(interval time.Duration) time.Duration { return min(interval+interval/5, lastInterval) }

// Tell prints what the run is waiting for.
func Tell(r *report.Report, waited time.Duration, problems []Problem) {
	r.Printf("  still waiting after %s:\n", waited.Round(time.Second))
	for _, p := range problems[:min(len(problems), shownProblems)] {
		r.Printf("    %s\n", p.Text)
	}
	if more := len(problems) - shownProblems; more > 0 {
		r.Printf("    and %d more\n", more)
	}
}
