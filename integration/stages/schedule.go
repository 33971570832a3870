package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A status is how a stage ended.
type status string

const (
	passed  status = "ok"
	failed  status = "FAILED"
	stopped status = "stopped" // by an interrupt
	notRun  status = "not run" // since a stage that it comes after did not pass
)

// A result is what a stage did.
type result struct {
	stage  stage
	status status
	reason string // why it did not pass
	began  time.Duration
	wall   time.Duration
	cpu    time.Duration // of its processes and theirs, daemons excluded
	tests  testResults
	log    string // file
}

// runner runs stages side by side.
type runner struct {
	stages   []stage
	capacity map[string]int
	dir      string // of the logs
	out      io.Writer
	every    time.Duration   // between two lines that tell what runs
	grace    time.Duration   // between asking a stage to end and killing it
	kill     context.Context // ends to kill what does not end when asked
	tick     func()          // is called from time to time
}

func stageNames(stages []stage) (names []string) {
	for _, s := range stages {
		names = append(names, s.name)
	}
	return names
}

// selectStages returns the named stages with those that they come after, in the order of all; without a name it returns all.
func selectStages(all []stage, names []string) ([]stage, error) {
	if len(names) == 0 {
		return all, nil
	}
	byName := map[string]stage{}
	for _, s := range all {
		byName[s.name] = s
	}
	wanted := map[string]bool{}
	for queue := slices.Clone(names); len(queue) > 0; queue = queue[1:] {
		s, ok := byName[queue[0]]
		if !ok {
			return nil, fmt.Errorf("no stage is named %q; there are: %s", queue[0], strings.Join(stageNames(all), " "))
		}
		if !wanted[s.name] {
			wanted[s.name] = true
			queue = append(queue, s.after...)
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(s stage) bool { return !wanted[s.name] }), nil
}

// validate refuses stages that could not all run: each comes after earlier ones only, and has a limit.
func validate(stages []stage) error {
	earlier := map[string]bool{}
	for _, s := range stages {
		if earlier[s.name] {
			return fmt.Errorf("two stages are named %s", s.name)
		}
		for _, name := range s.after {
			if !earlier[name] {
				return fmt.Errorf("stage %s comes after %s, which is not listed before it", s.name, name)
			}
		}
		if s.limit <= 0 {
			return fmt.Errorf("stage %s has no time limit", s.name)
		}
		earlier[s.name] = true
	}
	return nil
}

// run runs all stages and returns their results in the order of the stages. When stop ends, stages are stopped; when kill ends, the last
// ones are, too.
func (r *runner) run(stop context.Context) ([]result, error) {
	if err := os.RemoveAll(r.dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return nil, err
	}
	p := &progress{runner: r, began: time.Now(), done: map[string]result{}, running: map[string]*process{}, held: map[string]int{}}
	ended := make(chan result)
	ticker := time.NewTicker(r.every)
	defer ticker.Stop()
	for {
		p.start(stop, ended)
		if len(p.running) == 0 {
			return p.results(), nil
		}
		select {
		case done := <-ended:
			r.sample()
			p.end(done)
		case <-ticker.C:
			r.sample()
			p.tell()
		}
	}
}

func (r *runner) sample() {
	if r.tick != nil {
		r.tick()
	}
}

// progress is the state of a run. Only one goroutine uses it.
type progress struct {
	*runner
	began   time.Time
	done    map[string]result
	running map[string]*process
	held    map[string]int
}

// start starts every stage that nothing is in the way of, in their order, and settles those that cannot run.
func (p *progress) start(stop context.Context, ended chan<- result) {
	for _, s := range p.stages {
		if _, ok := p.done[s.name]; ok || p.running[s.name] != nil {
			continue
		}
		stop := stop
		if s.last {
			stop = p.kill
		}
		if stop.Err() != nil {
			p.done[s.name] = result{stage: s, status: stopped, reason: "interrupted before it began"}
			continue
		}
		ready, missing := p.ready(s)
		switch {
		case missing != "":
			p.done[s.name] = result{stage: s, status: notRun, reason: missing + " did not pass"}
		case ready && p.take(s):
			p.launch(stop, s, ended)
		}
	}
}

// ready reports whether the stages before s have ended, and which of them did not pass.
func (p *progress) ready(s stage) (ready bool, missing string) {
	if s.last {
		return len(p.done) == len(p.stages)-p.countLast(), ""
	}
	ready = true
	for _, name := range s.after {
		before, ok := p.done[name]
		switch {
		case !ok:
			ready = false
		case before.status != passed:
			return false, name
		}
	}
	return ready, ""
}

func (p *progress) countLast() int {
	n := 0
	for _, s := range p.stages {
		if s.last {
			n++
		}
	}
	return n
}

// take occupies what s holds, all of it or nothing.
func (p *progress) take(s stage) bool {
	for _, name := range s.holds {
		if p.held[name] >= max(1, p.capacity[name]) {
			return false
		}
	}
	for _, name := range s.holds {
		p.held[name]++
	}
	return true
}

func (p *progress) launch(stop context.Context, s stage, ended chan<- result) {
	proc := &process{stage: s, log: filepath.Join(p.dir, s.name+".log"), grace: p.grace, kill: p.kill}
	p.running[s.name] = proc
	began := time.Since(p.began)
	p.say("start %s", s.name)
	go func() {
		done := proc.run(stop)
		done.began = began
		ended <- done
	}()
}

func (p *progress) end(done result) {
	for _, name := range done.stage.holds {
		p.held[name]--
	}
	delete(p.running, done.stage.name)
	p.done[done.stage.name] = done
	text := fmt.Sprintf("%-5s %s (%s)", done.status, done.stage.name, seconds(done.wall))
	if done.reason != "" {
		text += ": " + done.reason
	}
	p.say("%s", text)
}

// tell prints what runs and the last line of each.
func (p *progress) tell() {
	for _, s := range p.stages {
		if proc := p.running[s.name]; proc != nil {
			p.say("...   %s: %s", s.name, proc.lastLine())
		}
	}
}

func (p *progress) say(format string, args ...any) {
	fmt.Fprintf(p.out, "%6s  %s\n", seconds(time.Since(p.began)), fmt.Sprintf(format, args...))
}

func (p *progress) results() []result {
	var all []result
	for _, s := range p.stages {
		all = append(all, p.done[s.name])
	}
	return all
}
