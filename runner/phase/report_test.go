package phase

import (
	"bytes"
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
	c := site(t, 0, bare(t))
	c.Report.Log(&log)
	w := c.Report.writer(c.first())
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

func TestBytesText(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 132_700_000: "132.7 MB", 5e15: "5000.0 TB"} {
		if got := BytesText(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

// A program can tell a plan from what a run did, as a person can.
func TestPlanDocumentSaysWhetherItWasDone(t *testing.T) {
	for _, dryRun := range []bool{false, true} {
		c := site(t, 0, bare(t))
		c.DryRun = dryRun
		if err := Perform(t.Context(), c, nil); err != nil {
			t.Fatal(err)
		}
		var encoded bytes.Buffer
		if err := WritePlan(&encoded, true, c.Report, NewReport(io.Discard)); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf(`"dryRun": %t,`, dryRun); !strings.Contains(encoded.String(), want) {
			t.Errorf("the document has no %s: %s", want, &encoded)
		}
	}
}

// What is printed does not depend on which host was faster.
func TestOrderOfActions(t *testing.T) {
	c := site(t, 1, bare(t))
	c.Report.phase(1, 2, "one")
	c.Report.action(c.members[1], "a")
	c.Report.action(c.members[0], "b")
	c.Report.action(c.members[1], "c")
	c.Report.phase(2, 2, "two")
	c.Report.action(c.members[0], "d")
	var got []string
	for _, a := range c.Report.Actions() {
		got = append(got, fmt.Sprint(a.Phase, a.Host, a.What))
	}
	if want := "one10.0.0.1b one10.0.0.2a one10.0.0.2c two10.0.0.1d"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What a host prints is kept up to a bound, and the last line of it is at hand.
func TestOutputWithoutEnd(t *testing.T) {
	var log counter
	c := site(t, 0, bare(t))
	c.Report.Log(&log)
	w := c.Report.writer(c.first())
	line := strings.Repeat("x", maxLine-1) + "\n"
	for range 2 * maxPrinted / maxLine {
		io.WriteString(w, line)
	}
	io.WriteString(w, "the \x1b[31mend\n\n")
	if log.bytes > maxPrinted+maxPrinted/100 {
		t.Errorf("%d bytes are in the log", log.bytes)
	}
	if got := w.last(); got != "the [31mend" {
		t.Errorf("the last line is %q", got)
	}
}

type counter struct{ bytes int }

func (c *counter) Write(p []byte) (int, error) { c.bytes += len(p); return len(p), nil }

// Hosts that wait for the same have one line, and a phase that is over none.
func TestWaitingHostsShareALine(t *testing.T) {
	var out bytes.Buffer
	r := NewReport(&out)
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
	r.phase(2, 2, "Join the nodes")
	r.flushWaiting("kubeadm init")
	if got := out.String(); got != "[2/2] Join the nodes\n" {
		t.Errorf("after the phase it printed %q", got)
	}
}
