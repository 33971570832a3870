package phase

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kubefile/kubefile/runner/host"
)

// Report writes the progress of the work for a person, and to the log.
type Report struct {
	out     io.Writer // lines for the person
	log     io.Writer // everything, with what the hosts printed
	mu      sync.Mutex
	dryRun  bool
	number  int // of the phase
	title   string
	actions []Action
	waiting map[string]*notice // by what is waited for
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

// planVersion changes when what reads a plan as JSON has to change.
const planVersion = 1

// planDocument is a plan, or what a run did, as JSON.
type planDocument struct {
	Version int      `json:"version"`
	DryRun  bool     `json:"dryRun"` // nothing of it was done
	Actions []Action `json:"actions"`
}

// WritePlan prints the actions of several reports, one after the other, as text or JSON.
func WritePlan(w io.Writer, asJSON bool, reports ...*Report) error {
	actions, dryRun := []Action{}, false
	for _, r := range reports {
		actions = append(actions, r.Actions()...)
		dryRun = dryRun || r.isDryRun()
	}
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(planDocument{planVersion, dryRun, actions})
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

const (
	// dryRunNotice is the first line of a dry run, and dryRunMark is in the header of each of its phases: the first line has scrolled away
	// by then.
	dryRunNotice = "dry run: no host is changed"
	dryRunMark   = " (dry run)"
)

// startDryRun says that the phases that follow change nothing.
func (r *Report) startDryRun() {
	r.mu.Lock()
	r.dryRun = true
	r.mu.Unlock()
	r.printf("%s\n", dryRunNotice)
}

func (r *Report) isDryRun() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dryRun
}

func (r *Report) phase(n, of int, title string) {
	r.mu.Lock()
	r.number, r.title = n, title
	mark := ""
	if r.dryRun {
		mark = dryRunMark
	}
	r.mu.Unlock()
	r.printf("[%d/%d] %s%s\n", n, of, title, mark)
}

// action notes a change. A dry run does not print it, because the plan that it ends with has it: on a terminal it would be there twice.
func (r *Report) action(m *member, what string) {
	r.mu.Lock()
	r.actions = append(r.actions, Action{Phase: r.title, Host: m.String(), What: what, number: r.number, member: m.index})
	planned := r.dryRun
	r.mu.Unlock()
	if !planned {
		r.Line(m.String(), what)
	}
}

// notice is a line about hosts that wait for the same.
type notice struct {
	number int // of the phase
	hosts  []string
	latest host.Waiting
}

const (
	// noticeDelay collects hosts that wait for the same since about the same time.
	noticeDelay = time.Second
	// noticeHosts is how many of them are named.
	noticeHosts = 5
)

// Waiting prints what hosts have been busy with for a while. Hosts that wait for the same share a line.
func (r *Report) Waiting(w host.Waiting) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting == nil {
		r.waiting = map[string]*notice{}
	}
	n := r.waiting[w.What]
	if n == nil {
		n = &notice{number: r.number}
		r.waiting[w.What] = n
		time.AfterFunc(noticeDelay, func() { r.flushWaiting(w.What) })
	}
	n.latest = w
	if !slices.Contains(n.hosts, w.Host.String()) {
		n.hosts = append(n.hosts, w.Host.String())
	}
}

func (r *Report) flushWaiting(what string) {
	r.mu.Lock()
	n := r.waiting[what]
	delete(r.waiting, what)
	over := n == nil || n.number != r.number
	r.mu.Unlock()
	if over {
		return
	}
	slices.Sort(n.hosts)
	names := n.hosts[:min(len(n.hosts), noticeHosts)]
	hosts := strings.Join(names, ", ")
	if more := len(n.hosts) - len(names); more > 0 {
		hosts += fmt.Sprintf(" and %d more", more)
	}
	text := fmt.Sprintf("still waiting after %s: %s", n.latest.For.Round(time.Second), what)
	if n.latest.Said != "" {
		text += fmt.Sprintf(" (last output: %s)", n.latest.Said)
	}
	r.Line(hosts, text)
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
	return &lineWriter{report: r, to: io.MultiWriter(r.log, r.out), prefix: m.String() + " | ", shown: true}
}

type lineWriter struct {
	report  *Report
	to      io.Writer
	prefix  string
	shown   bool              // to the person, too
	seen    func(line string) // if not nil, gets every line, too
	mu      sync.Mutex        // standard output and standard error write at the same time
	pending []byte
	latest  string
	printed int // bytes
}

// last is the last line that is not empty, cut to what fits in a notice.
func (l *lineWriter) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest
}

const (
	// maxLine is where a line without end is cut.
	maxLine = 16 << 10
	// maxPrinted is how much of one command's output is kept.
	maxPrinted = 64 << 20
	// maxNotice is how much of a line is in a notice.
	maxNotice = 120
)

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
	line = []byte(host.WithoutControls(string(bytes.TrimRight(line, "\r\n"))))
	if text := strings.TrimSpace(string(line[:min(len(line), maxNotice)])); text != "" {
		l.latest = strings.ToValidUTF8(text, "")
	}
	before := l.printed
	if l.printed += len(line) + 1; before > maxPrinted {
		return
	}
	if l.seen != nil {
		l.seen(string(line))
	}
	l.report.mu.Lock()
	defer l.report.mu.Unlock()
	fmt.Fprintf(l.to, "%s%s\n", l.prefix, line)
	if l.printed > maxPrinted {
		fmt.Fprintf(l.to, "%sthe rest of the output is left out: it is too long\n", l.prefix)
	}
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
