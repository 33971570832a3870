package phase

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
	"unicode"
)

// Report tells a person, and the log, how the work goes.
type Report struct {
	out     io.Writer // lines for the person
	log     io.Writer // everything, with what the hosts printed
	mu      sync.Mutex
	number  int // of the phase
	title   string
	actions []Action
}

// Action is one change to one host.
type Action struct {
	Phase string `json:"phase"`
	Host  string `json:"host"`
	What  string `json:"what"`

	number int // of the phase
	member int // place of the host in the list
}

// NewReport returns a report that writes progress to out.
func NewReport(out io.Writer) *Report { return &Report{out: out, log: io.Discard} }

// Log lets everything be written to log too.
func (r *Report) Log(log io.Writer) { r.log = log }

// Write prints to the person. It implements [io.Writer].
func (r *Report) Write(p []byte) (int, error) { return r.out.Write(p) }

// Actions returns every change that was made, or in a dry run would be made: by phase, by host, and in the order they were made there.
func (r *Report) Actions() []Action {
	r.mu.Lock()
	defer r.mu.Unlock()
	actions := append([]Action{}, r.actions...)
	slices.SortStableFunc(actions, func(a, b Action) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.member, b.member))
	})
	return actions
}

// WritePlan prints the actions of several reports, one after the other, as text or JSON.
func WritePlan(w io.Writer, asJSON bool, reports ...*Report) error {
	actions := []Action{}
	for _, r := range reports {
		actions = append(actions, r.Actions()...)
	}
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(actions)
	}
	if len(actions) == 0 {
		fmt.Fprintln(w, "nothing to do")
	}
	title := ""
	for _, a := range actions {
		if a.Phase != title {
			title = a.Phase
			fmt.Fprintln(w, title)
		}
		if _, err := fmt.Fprintf(w, "  %s: %s\n", a.Host, a.What); err != nil {
			return err
		}
	}
	return nil
}

func (r *Report) phase(n, of int, title string) {
	r.mu.Lock()
	r.number, r.title = n, title
	r.mu.Unlock()
	r.printf("[%d/%d] %s\n", n, of, title)
}

func (r *Report) action(m *member, what string) {
	r.mu.Lock()
	r.actions = append(r.actions, Action{Phase: r.title, Host: m.String(), What: what, number: r.number, member: m.index})
	r.mu.Unlock()
	r.Line(m.String(), what)
}

// Line prints one line about a host.
func (r *Report) Line(host, text string) { r.printf("  %s: %s\n", host, text) }

func (r *Report) printf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.out, format, args...)
	fmt.Fprintf(r.log, "%s "+format, append([]any{time.Now().UTC().Format(time.RFC3339)}, args...)...)
}

// writer takes what a host prints into the log, line by line with the host's name.
func (r *Report) writer(m *member) *lineWriter {
	return &lineWriter{report: r, to: r.log, prefix: m.String() + " | "}
}

// shown is a writer that shows the lines to the person, too.
func (r *Report) shown(m *member) *lineWriter {
	return &lineWriter{report: r, to: io.MultiWriter(r.log, r.out), prefix: m.String() + " | "}
}

type lineWriter struct {
	report  *Report
	to      io.Writer
	prefix  string
	mu      sync.Mutex // standard output and standard error write at the same time
	pending []byte
}

// maxLine is where a line without end is cut.
const maxLine = 16 << 10

func (l *lineWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = append(l.pending, p...)
	for {
		end := bytes.IndexByte(l.pending, '\n') + 1
		if end == 0 && len(l.pending) < maxLine {
			return len(p), nil
		}
		if end == 0 {
			end = maxLine
		}
		l.flush(l.pending[:end])
		l.pending = l.pending[end:]
	}
}

func (l *lineWriter) flush(line []byte) {
	l.report.mu.Lock()
	defer l.report.mu.Unlock()
	fmt.Fprintf(l.to, "%s%s\n", l.prefix, printable(bytes.TrimRight(line, "\r\n")))
}

// printable leaves out what would control a terminal: a host is not trusted with that of whoever reads.
func printable(line []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if r != '\t' && unicode.IsControl(r) {
			return -1
		}
		return r
	}, line)
}

// Close writes what is left of a last line.
func (l *lineWriter) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) > 0 {
		l.flush(l.pending)
		l.pending = nil
	}
	return nil
}
