// Package report prints the progress of the work, keeps the log, and records every change, of which plans are made. It knows hosts by their
// names only, and does nothing on them.
package report

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Report writes the progress of the work for a person, and to the log.
type Report struct {
	out     io.Writer // lines for the person
	log     io.Writer // everything, with what the hosts printed
	mu      sync.Mutex
	dryRun  bool
	number  int // of the phase
	title   string
	changes []Change
	waiting map[string]*notice // by what is waited for
}

// New returns a report that writes progress to out.
func New(out io.Writer) *Report { return &Report{out: out, log: io.Discard} }

// Log lets everything be written to log too.
func (r *Report) Log(log io.Writer) { r.log = log }

// Write prints to the person. It implements [io.Writer].
func (r *Report) Write(p []byte) (int, error) { return r.out.Write(p) }

const (
	// dryRunNotice is the first line of a dry run, and dryRunMark is in the header of each of its phases: the first line has scrolled away
	// by then.
	dryRunNotice = "dry run: no host is changed"
	dryRunMark   = " (dry run)"
)

// StartDryRun says that the phases that follow change nothing.
func (r *Report) StartDryRun() {
	r.mu.Lock()
	r.dryRun = true
	r.mu.Unlock()
	r.Printf("%s\n", dryRunNotice)
}

func (r *Report) isDryRun() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dryRun
}

// Part prints the header of a part of a run, whose phases are counted on their own.
func (r *Report) Part(title string) { r.Printf("%s:\n", title) }

// Begin prints the header of a phase, which the changes that follow are part of.
func (r *Report) Begin(n, of int, title string) {
	r.mu.Lock()
	r.number, r.title = n, title
	mark := ""
	if r.dryRun {
		mark = dryRunMark
	}
	r.mu.Unlock()
	r.Printf("[%d/%d] %s%s\n", n, of, title, mark)
}

// Line prints one line about a host.
func (r *Report) Line(host, text string) { r.Printf("  %s: %s\n", host, text) }

// Printf prints to the person, and to the log.
func (r *Report) Printf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.out, format, args...)
	fmt.Fprintf(r.log, "%s "+format, append([]any{time.Now().UTC().Format(time.RFC3339)}, args...)...)
}
