package main

import (
	"strings"
	"testing"
	"time"
)

// events is what go test -json prints, with lines of others in between.
const events = `go: downloading example.com/x v1.0.0
{"Action":"start","Package":"example.com/a"}
{"Action":"run","Package":"example.com/a","Test":"TestGood"}
{"Action":"output","Package":"example.com/a","Test":"TestGood","Output":"=== RUN   TestGood\n"}
{"Action":"output","Package":"example.com/a","Test":"TestGood","Output":"    a_test.go:7: nobody reads this\n"}
{"Action":"output","Package":"example.com/a","Test":"TestGood","Output":"--- PASS: TestGood (0.20s)\n"}
{"Action":"pass","Package":"example.com/a","Test":"TestGood","Elapsed":0.2}
{"Action":"run","Package":"example.com/a","Test":"TestBad"}
{"Action":"run","Package":"example.com/a","Test":"TestBad/part"}
{"Action":"output","Package":"example.com/a","Test":"TestBad/part","Output":"    a_test.go:9: got 1, want 2\n"}
{"Action":"output","Package":"example.com/a","Test":"TestBad/part","Output":"    --- FAIL: TestBad/part (3.00s)\n"}
{"Action":"fail","Package":"example.com/a","Test":"TestBad/part","Elapsed":3}
{"Action":"run","Package":"example.com/a","Test":"TestBad/long"}
{"Action":"pass","Package":"example.com/a","Test":"TestBad/long","Elapsed":2.5}
{"Action":"output","Package":"example.com/a","Test":"TestBad","Output":"--- FAIL: TestBad (5.50s)\n"}
{"Action":"fail","Package":"example.com/a","Test":"TestBad","Elapsed":5.5}
{"Action":"run","Package":"example.com/a","Test":"TestPanic"}
{"Action":"output","Package":"example.com/a","Test":"TestPanic","Output":"panic: no\n"}
{"Action":"output","Package":"example.com/a","Output":"FAIL\texample.com/a\t6.0s\n"}
{"Action":"fail","Package":"example.com/a","Elapsed":6}
{"ImportPath":"example.com/b","Action":"build-output","Output":"b.go:3: undefined: x\n"}
{"not":"an event"}
the end`

const printedEvents = `go: downloading example.com/x v1.0.0
    a_test.go:9: got 1, want 2
    --- FAIL: TestBad/part (3.00s)
--- PASS: TestBad/long (2.50s)
--- FAIL: TestBad (5.50s)
FAIL	example.com/a	6.0s
--- not finished: TestPanic
panic: no
b.go:3: undefined: x
{"not":"an event"}
the end
`

func TestEventsBecomeALog(t *testing.T) {
	var log strings.Builder
	last := ""
	o := &output{log: &log, saw: func(line string) { last = line }}
	for part := range strings.SplitSeq(events, "e") { // pieces that are no lines
		if _, err := o.Write([]byte(part + "e")); err != nil {
			t.Fatal(err)
		}
	}
	o.close()
	if got, want := log.String(), strings.Replace(printedEvents, "the end\n", "the ende\n", 1); got != want {
		t.Errorf("the log is\n%s\nwant\n%s", got, want)
	}
	if last != "the ende" {
		t.Errorf("the last line is %q", last)
	}
	var failures []string
	for _, test := range o.tests.failed {
		failures = append(failures, test.test)
	}
	if got, want := strings.Join(failures, " "), "TestBad/part TestBad TestPanic"; got != want {
		t.Errorf("failed: %s, want %s", got, want)
	}
	var leaves []string
	for _, took := range o.tests.leaves() {
		leaves = append(leaves, took.test+" "+took.time.String())
	}
	if got, want := strings.Join(leaves, ", "), "TestGood 200ms, TestBad/part 3s, TestBad/long 2.5s"; got != want {
		t.Errorf("leaves: %s, want %s", got, want)
	}
}

func TestProcessTimes(t *testing.T) {
	if got, want := busyTime("cpu  100 200 300 4000 5000 60 70 80 9 9"), 7300*time.Millisecond; got != want {
		t.Errorf("busy %s, want %s", got, want)
	}
	const stat = "42 (a (strange) name) S 1 42 42 0 -1 4194560 1 2 3 4 100 20 3000 400 20 0 9 0 77"
	if got, want := processTime(stat), 35200*time.Millisecond; got != want {
		t.Errorf("the process used %s, want %s", got, want)
	}
}
