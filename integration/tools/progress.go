package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// A progress reports which tool is being made. On a terminal the elapsed time is updated in place; elsewhere there is a line at the
// start, one every half minute, and one at the end.
type progress struct {
	out      io.Writer
	terminal bool
	done     int // tools that are finished
	total    int
}

// quiet is how long a build may take before plain output repeats that it still runs.
const quiet = 30 * time.Second

// cached reports the tools that need no work, in one line.
func (p *progress) cached(count int) {
	p.done += count
	if count == p.total {
		fmt.Fprintf(p.out, "tools: all %d are cached\n", p.total)
	} else if count > 0 {
		fmt.Fprintf(p.out, "tools: %d of %d are cached\n", count, p.total)
	}
}

// start begins the step of a tool. The caller calls note with what it is doing, and finish exactly once.
func (p *progress) start(t tool) *step {
	p.done++
	s := &step{
		progress: p, title: fmt.Sprintf("%d/%d %s %s", p.done, p.total, t.name, t.version),
		began: time.Now(), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	go s.tick()
	return s
}

// A step is the work on one tool.
type step struct {
	progress *progress
	title    string
	began    time.Time
	stop     chan struct{}
	stopped  chan struct{}

	mu    sync.Mutex
	state string
}

// note reports what the step is doing from now on.
func (s *step) note(state string) {
	s.mu.Lock()
	s.state = state
	s.mu.Unlock()
	s.print()
}

// finish ends the step's line: done, failed or interrupted.
func (s *step) finish(ctx context.Context, err error) {
	close(s.stop)
	<-s.stopped
	result := "done"
	if err != nil {
		result = "failed"
		if ctx.Err() != nil {
			result = "interrupted"
		}
	}
	s.write(fmt.Sprintf("%s: %s after %s", s.title, result, s.elapsed()), "\n")
}

func (s *step) elapsed() time.Duration { return time.Since(s.began).Round(time.Second) }

func (s *step) tick() {
	defer close(s.stopped)
	every := quiet
	if s.progress.terminal {
		every = time.Second
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
			s.print()
		}
	}
}

// print writes what the step is doing and for how long. On a terminal it replaces the last line.
func (s *step) print() {
	s.mu.Lock()
	line := s.title + " … " + s.state
	s.mu.Unlock()
	if elapsed := s.elapsed(); elapsed > 0 {
		line += " " + elapsed.String()
	}
	end := "\n"
	if s.progress.terminal {
		end = ""
	}
	s.write(line, end)
}

func (s *step) write(line, end string) {
	if s.progress.terminal {
		line = "\r\033[K" + line
	}
	fmt.Fprint(s.progress.out, line+end)
}

// isTerminal reports whether the file is a terminal that can move its cursor.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}
