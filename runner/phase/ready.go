package phase

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/execute"
)

// ready waits until the cluster works, which the image's network plugin makes it: after its own commands if it is an application of the
// image, else after all commands, of which any may be the one.
type ready struct {
	*Cluster
	after stage
}

func (*ready) Title() string { return "Wait until the cluster works" }

const (
	readyPatience = 5 * time.Minute
	// certainAfter is how long a problem has to last that does not end by itself.
	certainAfter = 20 * time.Second
	// certainGap is how long it may be out of sight: a container that crashes runs for a moment.
	certainGap = 10 * time.Second
	// firstInterval is how long after the first question the second one is asked, and lastInterval between later ones: a question is about
	// all nodes, and all hosts probe the cluster for it. It is shorter than certainGap.
	firstInterval = time.Second
	lastInterval  = 5 * time.Second
	// noticeEvery is how often a person is told what is waited for.
	noticeEvery = 30 * time.Second
	// shownProblems is how many of them are in a notice.
	shownProblems = 3
)

func (p *ready) Run(ctx context.Context) error {
	after := guests
	if slices.ContainsFunc(p.Artifact.Description.Apps, func(a imagespec.App) bool { return p.network(a.Name) }) {
		after = network
	}
	if p.after != after {
		return nil
	}
	if !p.DryRun {
		if err := p.works(ctx, readyPatience, false); err != nil {
			return err
		}
	}
	return p.spreadDNS(ctx)
}

// problem is something of the cluster that does not work.
type problem struct {
	text    string // what, where, and the likely cause
	certain bool   // waiting does not help
}

// works waits until there is no problem. It gives up early when one of them will not resolve itself.
func (c *Cluster) works(ctx context.Context, patience time.Duration, whole bool) error {
	begin := time.Now()
	problems, err := c.wait(ctx, patience, func(ctx context.Context) ([]problem, error) { return c.problems(ctx, whole) })
	if err != nil || len(problems) == 0 {
		return err
	}
	var lines []string
	for _, p := range problems {
		lines = append(lines, p.text)
	}
	waited := min(patience, time.Since(begin))
	if waited > time.Second {
		waited = waited.Round(time.Second)
	}
	return fmt.Errorf("not ready after %s:\n  %s", waited, strings.Join(lines, "\n  "))
}

// wait asks until there is no problem, and returns those that there still are when patience ends, or when one of them is certain.
func (c *Cluster) wait(ctx context.Context, patience time.Duration, ask func(context.Context) ([]problem, error)) (problems []problem, err error) {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	problems = []problem{{text: "the cluster does not answer"}}
	begin := time.Now()
	var certain, seen time.Time
	interval := firstInterval
	for told := begin; ; {
		found, err := ask(limited)
		switch {
		case limited.Err() != nil: // an answer that was cut off says nothing
		case err == nil && len(found) == 0:
			return nil, nil
		case err == nil:
			problems = found
		default:
			problems = []problem{{text: err.Error()}}
		}
		if slices.ContainsFunc(problems, func(p problem) bool { return p.certain }) {
			if time.Since(seen) > certainGap {
				certain = time.Now()
			}
			seen = time.Now()
			if time.Since(certain) > certainAfter {
				return problems, context.Cause(ctx)
			}
		}
		if time.Since(told) >= noticeEvery {
			told = time.Now()
			c.tell(time.Since(begin), problems)
		}
		if execute.Pause(limited, interval) != nil {
			return problems, context.Cause(ctx)
		}
		interval = longer(interval)
	}
}

// longer is the interval that follows one.
func longer(interval time.Duration) time.Duration { return min(interval+interval/5, lastInterval) }

// tell prints what the run is waiting for.
func (c *Cluster) tell(waited time.Duration, problems []problem) {
	c.Report.Printf("  still waiting after %s:\n", waited.Round(time.Second))
	for _, p := range problems[:min(len(problems), shownProblems)] {
		c.Report.Printf("    %s\n", p.text)
	}
	if more := len(problems) - shownProblems; more > 0 {
		c.Report.Printf("    and %d more\n", more)
	}
}
