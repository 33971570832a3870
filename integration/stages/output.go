package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// output is what a stage prints. Lines go to the log as they are. Events of go test -json become what go test prints without it: the
// output of tests that fail, and a line for each test that took long.
type output struct {
	log   io.Writer
	saw   func(line string)
	tests testResults

	rest    []byte                     // a line that is not complete
	open    map[testName]*bytes.Buffer // the output of tests that run
	started []testName                 // in their order
}

type testName struct{ pkg, test string }

// testResults are the tests of a stage, as go test -json reports them.
type testResults struct {
	took   []testTook
	failed []testFailed
}

type testFailed struct {
	testName
	text string // what it printed
}

type testTook struct {
	testName
	time time.Duration
}

// event is one line of go test -json; see go doc test2json.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

// shortest is the time from which on a test that passes gets a line.
const shortest = time.Second

func (o *output) Write(data []byte) (int, error) {
	o.rest = append(o.rest, data...)
	for {
		line, rest, found := bytes.Cut(o.rest, []byte("\n"))
		if !found {
			return len(data), nil
		}
		o.line(string(line))
		o.rest = append(o.rest[:0], rest...)
	}
}

func (o *output) line(line string) {
	var e event
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &e) != nil || e.Action == "" {
		o.print(line)
		return
	}
	name := testName{e.Package, e.Test}
	switch {
	case e.Action == "output" && e.Test != "":
		o.testOutput(name, e.Output)
	case e.Action == "output" || e.Action == "build-output":
		o.print(strings.TrimSuffix(e.Output, "\n"))
	case e.Action == "run":
		o.testOutput(name, "")
	case name.test == "" && e.Action == "fail":
		o.unfinished(name.pkg)
	case name.test != "" && (e.Action == "pass" || e.Action == "fail" || e.Action == "skip"):
		o.ended(name, e)
	}
}

// testOutput keeps the output of a test until it is known whether it passes.
func (o *output) testOutput(name testName, text string) {
	if o.open == nil {
		o.open = map[testName]*bytes.Buffer{}
	}
	if o.open[name] == nil {
		o.open[name] = new(bytes.Buffer)
		o.started = append(o.started, name)
	}
	if !strings.HasPrefix(text, "=== ") {
		o.open[name].WriteString(text)
		o.see(text)
	}
}

func (o *output) ended(name testName, e event) {
	took := time.Duration(e.Elapsed * float64(time.Second))
	o.tests.took = append(o.tests.took, testTook{name, took})
	kept := o.open[name] // there is one since the test began
	delete(o.open, name)
	switch {
	case e.Action == "fail":
		o.failed(name, kept.String())
	case took >= shortest:
		o.print(fmt.Sprintf("--- PASS: %s (%.2fs)", name.test, e.Elapsed))
	}
}

// unfinished prints what tests printed that did not come to their end. An empty package means all.
func (o *output) unfinished(pkg string) {
	for _, name := range o.started {
		kept := o.open[name]
		if kept == nil || (pkg != "" && name.pkg != pkg) {
			continue
		}
		delete(o.open, name)
		o.failed(name, "--- not finished: "+name.test+"\n"+kept.String())
	}
}

func (o *output) failed(name testName, text string) {
	o.tests.failed = append(o.tests.failed, testFailed{name, text})
	o.print(strings.TrimSuffix(text, "\n"))
}

// close prints what was not printed yet.
func (o *output) close() {
	if len(o.rest) > 0 {
		o.line(string(o.rest))
		o.rest = nil
	}
	o.unfinished("")
}

func (o *output) print(text string) {
	fmt.Fprintln(o.log, text)
	o.see(text)
}

// see remembers the last line for those who watch.
func (o *output) see(text string) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		o.saw(shorten(last, 120))
	}
}

func shorten(text string, limit int) string {
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit-3]) + "..."
	}
	return text
}
