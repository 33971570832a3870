package report

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kubefile/kubefile/runner/host"
)

func TestLogOfAHost(t *testing.T) {
	var log bytes.Buffer
	r := New(io.Discard)
	r.Log(&log)
	w := r.Output("10.0.0.1")
	for _, part := range []string{"one\r\ntw", "o\n", "\n", strings.Repeat("x", maxLine+3), "\nlast"} {
		if n, err := io.WriteString(w, part); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	want := []string{"one", "two", "", strings.Repeat("x", maxLine), "xxx", "last"}
	for i := range want {
		want[i] = "10.0.0.1 | " + want[i] + "\n"
	}
	if got := log.String(); got != strings.Join(want, "") {
		t.Errorf("the log is\n%.300s", got)
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 132_700_000: "132.7 MB", 5e15: "5000.0 TB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

// What is printed does not depend on which host was faster.
func TestOrderOfChanges(t *testing.T) {
	r := New(io.Discard)
	r.Begin(1, 2, "one")
	r.Record("10.0.0.2", 1, "a")
	r.Record("10.0.0.1", 0, "b")
	r.Record("10.0.0.2", 1, "c")
	r.Begin(2, 2, "two")
	r.Record("10.0.0.1", 0, "d")
	var got []string
	for _, a := range r.Changes() {
		got = append(got, fmt.Sprint(a.Phase, a.Host, a.What))
	}
	if want := "one10.0.0.1b one10.0.0.2a one10.0.0.2c two10.0.0.1d"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What a host prints is kept up to a bound, and the last line of it is at hand.
func TestOutputWithoutEnd(t *testing.T) {
	var log counter
	r := New(io.Discard)
	r.Log(&log)
	w := r.Output("10.0.0.1")
	line := strings.Repeat("x", maxLine-1) + "\n"
	for range 2 * maxPrinted / maxLine {
		io.WriteString(w, line)
	}
	io.WriteString(w, "the \x1b[31mend\n\n")
	if log.bytes > maxPrinted+maxPrinted/100 {
		t.Errorf("%d bytes are in the log", log.bytes)
	}
	if got := w.Last(); got != "the [31mend" {
		t.Errorf("the last line is %q", got)
	}
}

type counter struct{ bytes int }

func (c *counter) Write(p []byte) (int, error) { c.bytes += len(p); return len(p), nil }

// Hosts that wait for the same have one line, and a phase that is over none.
func TestWaitingHostsShareALine(t *testing.T) {
	var out bytes.Buffer
	r := New(&out)
	for i := range 7 {
		for range 2 {
			r.Waiting(host.Waiting{
				Host: host.Host{Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})}, What: "kubeadm join", For: 30 * time.Second, Said: "[preflight]",
			})
		}
	}
	r.flushWaiting("kubeadm join")
	want := "  10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5 and 2 more: still waiting after 30s: kubeadm join (last output: [preflight])\n"
	if got := out.String(); got != want {
		t.Errorf("it printed %q, want %q", got, want)
	}
	out.Reset()
	r.Waiting(host.Waiting{What: "kubeadm init"})
	r.Begin(2, 2, "Join the nodes")
	r.flushWaiting("kubeadm init")
	if got := out.String(); got != "[2/2] Join the nodes\n" {
		t.Errorf("after the phase it printed %q", got)
	}
}

func TestNothingToDo(t *testing.T) {
	var text, encoded bytes.Buffer
	r := New(io.Discard)
	if err := errors.Join(WritePlan(&text, false, r), WritePlan(&encoded, true, r)); err != nil {
		t.Fatal(err)
	}
	if text.String() != "nothing to do\n" || encoded.String() != "{\n  \"version\": 1,\n  \"dryRun\": false,\n  \"actions\": []\n}\n" {
		t.Errorf("got %q and %q", &text, &encoded)
	}
}
